//! How a case puts jobs into its queue.

use stream_core::{NewJob, Pushed, Result, Support};

use super::{Stage, plain_jobs};

impl Stage {
    /// Puts raw bytes into the queue.
    pub async fn inject(&self, bytes: Vec<u8>) {
        self.backend.inject(&self.queue, bytes).await.expect("bytes are injected");
    }

    /// Pushes jobs; the answers.
    pub async fn try_push(&self, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        self.driver.push(&self.queue, jobs).await
    }

    /// Pushes jobs; each must be stored.
    pub async fn push(&self, jobs: &[NewJob]) {
        let answers = self.try_push(jobs).await;
        assert_eq!(answers.len(), jobs.len(), "one answer for each job");
        for (answer, job) in answers.iter().zip(jobs) {
            assert_eq!(answer.as_ref().expect("stored"), &Pushed::Stored(job.envelope.id));
        }
    }

    /// Pushes `count` plain jobs; the jobs, in their order.
    pub async fn push_plain(&self, count: usize) -> Vec<NewJob> {
        let jobs = plain_jobs(count);
        self.push(&jobs).await;
        jobs
    }

    /// What the push of a job is answered whose id the queue holds.
    pub fn answer_to_repeated(&self, job: &NewJob) -> Pushed {
        match self.capabilities().repeated_push {
            Support::Yes => Pushed::AlreadyStored(job.envelope.id),
            Support::No => Pushed::Stored(job.envelope.id),
        }
    }
}
