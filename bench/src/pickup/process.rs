//! A worker in a process of its own: this program, started as `pickup-worker`.
//!
//! It prints a line when it is ready and one for each job that it starts, and ends with its input.

use std::{
    env,
    io::{BufRead, BufReader, Write, stdin, stdout},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use stream_core::{Consumer, QueueName};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{sleep, timeout},
};

use super::{PATIENCE, Picked, handlers, send};
use crate::{
    loads::Session,
    target::{IdleWorker, Target},
};

const READY: &str = "ready";
const PICKED: &str = "picked";
/// From the line to the moment at which the worker waits for work.
const SETTLES: Duration = Duration::from_millis(300);

/// The other process, seen from here.
pub(super) struct Worker {
    child: Child,
    input: ChildStdin,
}

impl Worker {
    /// Starts it and waits until it is idle.
    pub(super) async fn start(
        session: &Session,
        queue: &QueueName,
    ) -> Result<(Self, UnboundedReceiver<Picked>)> {
        let latency_ms = session.latency.as_millis().to_string();
        let program = env::current_exe().context("this program has no path")?;
        let mut child = Command::new(program)
            .args(["pickup-worker", "--driver", session.target.name(), "--queue", queue.as_str()])
            .args(["--latency-ms", &latency_ms])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a worker process")?;
        let input = child.stdin.take().context("the worker has no input")?;
        let output = child.stdout.take().context("the worker has no output")?;
        let (picked, picks) = unbounded_channel();
        let (ready, mut is_ready) = unbounded_channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match read(&line) {
                    Some(one) => send(&picked, one),
                    None if line == READY => drop(ready.send(())),
                    None => eprintln!("a worker says: {line}"),
                }
            }
        });
        timeout(PATIENCE, is_ready.recv()).await.ok().flatten().context("the worker process is not ready")?;
        sleep(SETTLES).await;
        Ok((Self { child, input }, picks))
    }

    /// Ends its input, and waits for it to end in order.
    pub(super) fn stop(mut self) -> Result<()> {
        drop(self.input);
        let status = self.child.wait()?;
        ensure!(status.success(), "the worker process has failed: {status}");
        Ok(())
    }
}

/// What the other process does.
pub(crate) async fn work(target: Arc<dyn Target>, queue: &str, latency: Duration) -> Result<()> {
    let is_shared = target.idle_worker() == IdleWorker::OtherProcess;
    ensure!(is_shared, "{} cannot be reached from another process", target.name());
    let session = Session::open(target, latency).await?;
    let handlers = handlers(|picked| println!("{}", line(picked)));
    let consumer = Consumer::builder(&session.connection.manager, handlers).queues([queue]).start().await?;
    writeln!(stdout(), "{READY}")?;
    tokio::task::spawn_blocking(|| stdin().lines().for_each(drop)).await?;
    consumer.shutdown().await?;
    Ok(())
}

fn line(picked: Picked) -> String {
    format!("{PICKED} {} {}", picked.number, picked.latency_ns)
}

fn read(line: &str) -> Option<Picked> {
    let (number, latency_ns) = line.strip_prefix(PICKED)?.trim().split_once(' ')?;
    Some(Picked { number: number.parse().ok()?, latency_ns: latency_ns.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pick_survives_the_pipe_between_the_processes() {
        let picked = Picked { number: 7, latency_ns: 1_234_567 };
        assert_eq!(read(&line(picked)), Some(picked));
        for other in [READY, "picked", "picked 7", "picked 7 x", "a worker panicked"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
