//! The program's users of PostgreSQL, made and bound by the file that the program ships.

use tokio::sync::OnceCell;

use super::postgres::Postgres;

/// What the program's users may do.
pub const GRANTS: &str = "config/grants/postgres.sql";

static MADE: OnceCell<()> = OnceCell::const_new();

/// Makes the users in the shared cluster and gives them passwords. They belong to the whole of it, so this is done once.
pub async fn make(postgres: &Postgres) {
    let once = MADE.get_or_init(async || {
        let url = postgres.database("users").await;
        postgres.file(&url, GRANTS, &["-v", "dashboards=1"]).await;
        let of = |user| format!("ALTER ROLE rampkeeper_{user} PASSWORD 's3cret-{user}';");
        postgres.sql(&url, &["migrate", "control", "warehouse"].map(of).concat()).await;
    });
    once.await;
}

/// The address for one of the program's users: `migrate`, `control` or `warehouse`.
pub fn as_user(url: &str, user: &str) -> String {
    url.replace("postgres@", &format!("rampkeeper_{user}:s3cret-{user}@"))
}
