//! Dying after every request that changes something, and losing its answer: run again the same command comes to the same end.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Dies,
    Lost,
    Never,
}

/// The world behind an API server where one change has this fate.
async fn serve(world: &Shared, number: usize, fate: Fate) -> (Server, Arc<Mutex<usize>>) {
    let (count, own) = (Arc::new(Mutex::new(0)), world.clone());
    let seen = Arc::clone(&count);
    let server = Server::start(move |request| {
        let mut count = seen.lock().unwrap();
        let changes = matches!(request.method.as_str(), "POST" | "PATCH" | "DELETE") && request.query("dryRun").is_none();
        if fate == Fate::Dies && *count >= number && number > 0 {
            return Answer::error(401, "Unauthorized");
        }
        *count += usize::from(changes);
        let hit = changes && *count == number;
        if hit && fate == Fate::Never {
            return Answer::Cut("");
        }
        let answer = own.answer(request);
        match fate {
            Fate::Dies if hit => Answer::error(401, "Unauthorized"),
            Fate::Lost if hit => Answer::Cut(""),
            _ => answer,
        }
    })
    .await;
    (server, count)
}

/// Plays `args` with every fate of every change, and once more as it should be.
async fn every_cut(args: &[&str], world: impl Fn() -> Shared, holds: impl Fn(&Shared, &str)) {
    let whole = world();
    let (server, count) = serve(&whole, 0, Fate::Lost).await;
    assert_eq!(run_quickly(&server, args).await.exit, 0);
    let changes = *count.lock().unwrap();
    assert!(changes > 3, "{changes} changes");
    for fate in [Fate::Dies, Fate::Lost, Fate::Never] {
        for number in 1..=changes {
            let world = world();
            let (server, _) = serve(&world, number, fate).await;
            let first = run_quickly(&server, args).await;
            // What an earlier run left is waited for, or has ended by itself.
            let jobs: Vec<String> = world.lock().helpers.alive().into_iter().map(str::to_owned).collect();
            jobs.iter().for_each(|job| world.lock().helpers.end(job));
            let clean = world.serve().await;
            let again = run_quickly(&clean, args).await;
            let told = format!("{fate:?} {number}\n{}\n--- again\n{}", first.text(&server), again.text(&clean));
            assert_eq!(again.exit, 0, "{told}");
            holds(&world, &told);
            assert_nothing_is_left(&world);
        }
    }
}

#[tokio::test]
async fn a_prune_that_was_cut_off_is_run_again() {
    let world = || {
        let world = scaled_in();
        world.lock().cluster("db").as_galera().put_foreign(4, 90_000);
        world.lock().cluster("db").volumes.empty = [].into();
        world
    };
    let loss = format!("--accept-data-loss=data-db-4:{FOREIGN}:90000");
    every_cut(&["pvc", "prune", "db", "-y", &loss], world, |world, told| {
        let mut world = world.lock();
        let cluster = world.cluster("db");
        let left: Vec<u32> = cluster.members.iter().filter(|(_, member)| member.has_claim).map(|(ordinal, _)| *ordinal).collect();
        assert_eq!(left, [0, 1, 2], "{told}");
        let mut once = cluster.volumes.deleted.clone();
        once.dedup();
        assert_eq!(once.len(), cluster.volumes.deleted.len(), "deleted twice: {told}");
    })
    .await;
}

#[tokio::test]
async fn an_expansion_that_was_cut_off_is_run_again() {
    let world = || World::with([Cluster::galera("shop", "db", 3).controlled(false)]);
    every_cut(&["pvc", "expand", "db", "--size", "2Gi", "-y"], world, |world, told| {
        let mut world = world.lock();
        let volumes = &world.cluster("db").volumes;
        assert!((0..3).all(|ordinal| volumes.size(ordinal) == (2, 2)) && volumes.growing.is_empty(), "{told}");
    })
    .await;
}
