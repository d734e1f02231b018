//! What the statements cost by the pages that they touch, whatever the planner believes of the tables.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::backends::postgres::own::Own;

/// Jobs of each kind that wait in front of and behind those that are taken.
const FEW: u32 = 1_000;
const MANY: u32 = 10_000;
/// More than this would not be the same.
const TIMES: f64 = 1.5;

/// A connection that has planned everything while the tables were empty.
struct Planned {
    connection: PgConnection,
    prefix: String,
}

impl Planned {
    async fn new(own: &Own) -> Self {
        own.run("VACUUM ANALYZE {jobs}, {jobs}_dead").await;
        let connection = PgConnection::connect(&own.url).await.unwrap();
        let mut planned = Self { connection, prefix: own.prefix.clone() };
        planned.costs().await;
        planned
    }

    /// Pages touched by a reserve of ten, a look, a push of ten and a settlement of ten.
    async fn costs(&mut self) -> [u64; 4] {
        let taken = "(SELECT array_agg(id ORDER BY id) FROM {jobs} WHERE token = 7)";
        let tokens = "(SELECT array_agg(token) FROM {jobs} WHERE token = 7)";
        let new = "ARRAY(SELECT gen_random_uuid() FROM generate_series(1, 10))";
        let ten = |value: &str| format!("array_fill({value}, ARRAY[10])");
        let (payloads, priorities, delays) = (ten("'x'::bytea"), ten("2::smallint"), ten("0::bigint"));
        let keys = ten("NULL::bytea");
        let reserve = self.pages("SELECT * FROM {jobs}_reserve('q', 10, 60000000, 7, '{}')").await;
        let look = self.pages("SELECT {jobs}_probe(ARRAY['q', 'other'])").await;
        let push =
            format!("SELECT {{jobs}}_insert('p', {new}, {payloads}, {priorities}, {delays}, {keys}, NULL)");
        let push = self.pages(&push).await;
        // The arguments first, which are none of its cost.
        let (ids, tokens) = (self.text(taken).await, self.text(tokens).await);
        let settle = format!("SELECT {{jobs}}_finish('q', '{ids}'::uuid[], '{tokens}'::bigint[])");
        let settle = self.pages(&settle).await;
        self.connection
            .execute(AssertSqlSafe(self.named("DELETE FROM {jobs} WHERE queue = 'p'")))
            .await
            .unwrap();
        [reserve, look, push, settle]
    }

    async fn pages(&mut self, statement: &str) -> u64 {
        let explain = self.named(&format!("EXPLAIN (ANALYZE, BUFFERS, TIMING off) {statement}"));
        let lines = self.connection.fetch_all(AssertSqlSafe(explain)).await.unwrap();
        let lines = lines.iter().map(|line| line.get::<String, _>(0));
        let first =
            lines.filter_map(|line| line.split_once("Buffers: shared ").map(|it| it.1.to_owned())).next();
        let numbers = first.unwrap_or_default();
        let touched = numbers.split(' ').filter_map(|part| part.split_once('='));
        let touched = touched.filter(|(what, _)| ["hit", "read"].contains(what));
        touched.map(|(_, pages)| pages.trim_end_matches(',').parse::<u64>().unwrap()).sum()
    }

    async fn text(&mut self, expression: &str) -> String {
        let select = self.named(&format!("SELECT coalesce({expression}::text, '{{}}')"));
        self.connection.fetch_one(AssertSqlSafe(select)).await.unwrap().get(0)
    }

    fn named(&self, sql: &str) -> String {
        sql.replace("{jobs}", &format!("{}jobs", self.prefix))
    }
}

/// Jobs that wait, that are delayed with a higher priority, and that are less urgent; and dead letters.
async fn grow(own: &Own, from: u32, to: u32) {
    let jobs = |priority: u8, delay: &str| {
        format!(
            "INSERT INTO {{jobs}} (id, queue, payload, priority, available_at) \
             SELECT gen_random_uuid(), 'q', 'x', {priority}, now() + interval '{delay}' \
             FROM generate_series({from} + 1, {to});"
        )
    };
    let dead = format!(
        "INSERT INTO {{jobs}}_dead (id, queue, payload, attempts, created_at, priority, lost, error) \
         SELECT gen_random_uuid(), 'p', 'x', 1, now(), 2, 0, 'x' FROM generate_series({from} + 1, {to})"
    );
    own.run(&[jobs(2, "0"), jobs(0, "1 hour"), jobs(3, "0"), dead].concat()).await;
}

#[tokio::test]
async fn nothing_costs_more_because_many_jobs_wait() {
    let Some(own) = Own::new("own::postgres::cost::nothing_costs_more_because_many_jobs_wait") else {
        return;
    };
    own.migrated().await;
    // Whatever a vacuum learns meanwhile, no plan is to depend on it.
    own.run("ALTER TABLE {jobs} SET (autovacuum_enabled = off)").await;
    let mut planned = Planned::new(&own).await;

    grow(&own, 0, FEW).await;
    let few = planned.costs().await;
    grow(&own, FEW, MANY).await;
    let many = planned.costs().await;

    for (nth, (few, many)) in few.into_iter().zip(many).enumerate() {
        assert!(few > 0, "its pages are counted");
        // One level more of an index for each of the ten is no growth with their number.
        assert!(many as f64 <= few as f64 * TIMES + 40.0, "{nth}: {many} pages instead of {few}");
    }
    own.drop_tables().await;
}
