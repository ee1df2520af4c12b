//! What is said on the way.

use super::*;

#[tokio::test]
async fn what_is_said_on_the_way() {
    let mut deleting = cluster(true);
    deleting.controller.deletes_claims = true;
    let world = World::with([deleting]);
    let server = serve(&world, &Fates::default()).await;
    insta::assert_snapshot!("dry_run", played(&server, &["stop", "db", "--dry-run=server"], 0).await.text(&server));
    insta::assert_snapshot!("nobody_to_ask", played(&server, &["stop", "db"], 5).await.text(&server));
    insta::assert_snapshot!("nothing_to_resume", played(&server, RESUME, 0).await.text(&server));
    insta::assert_snapshot!("start_of_what_runs", played(&server, START, 0).await.text(&server));
    let run = played(&server, STOP, 0).await;
    insta::assert_snapshot!("stopped", run.stdout);
    insta::assert_snapshot!("stopped_twice", played(&server, STOP, 0).await.text(&server));
    insta::assert_snapshot!("show", played(&server, &["operation", "show", "db"], 0).await.stdout);
    insta::assert_snapshot!("list", played(&server, &["operation", "list"], 0).await.stdout);
}
