//! `status --watch` in a terminal: the screen is drawn, changes in place, and is given back as it was.

use std::path::Path;
use std::time::Duration;

use super::galera;
use crate::support::server::Server;
use crate::support::terminal::{PROGRAM, Terminal};
use crate::support::world::{ExecState, Shared};

/// Runs what a person does, beside the event loop of the fake API server.
async fn sit_down(person: impl FnOnce(Shared, Server) + Send + 'static) {
    let world = galera();
    let server = world.serve().await;
    tokio::task::spawn_blocking(move || person(world, server)).await.unwrap();
}

/// The program's own screen, without a cursor.
fn is_live(screen: &vt100::Screen) -> bool {
    screen.alternate_screen() && screen.hide_cursor()
}

/// The screen of whoever was there before.
fn is_given_back(screen: &vt100::Screen) -> bool {
    !screen.alternate_screen() && !screen.hide_cursor()
}

fn shows(screen: &vt100::Screen, words: &str) -> bool {
    screen.contents().contains(words)
}

/// A shell with job control and without line editing of its own: it leaves the terminal's modes as it finds them.
fn shell(kubeconfig: &Path) -> Terminal {
    let mut terminal = Terminal::of("sh", &["-im"], kubeconfig);
    terminal.wait("prompt> ");
    terminal
}

fn watch() -> String {
    format!("{PROGRAM} status db -n shop -w\r")
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_drawn_in_place_and_q_leaves_the_last_state() {
    sit_down(|world, server| {
        let mut terminal = Terminal::open(&server, &["status", "db", "-n", "shop", "-w"]);
        terminal.resize(50, 80);
        terminal.until("healthy", |screen| is_live(screen) && shows(screen, "Healthy") && shows(screen, "q: end"));
        terminal.take_text();
        world.lock().cluster("db").as_galera().disconnect(2);
        // A look may have met some of the members before the change and the others after it.
        terminal.until("degraded", |screen| shows(screen, "Degraded: 2 of 3 members Synced") && shows(screen, "MDB212"));
        assert!(!shows(terminal.screen(), "Healthy:"), "{}", terminal.screen().contents());
        let drawn = terminal.take_text();
        assert!(!drawn.contains("\x1b[2J") && !drawn.contains("\x1b[?1049"), "it began anew: {drawn:?}");
        terminal.keys("q");
        assert_eq!(terminal.exit(), 3);
        assert!(is_given_back(terminal.screen()));
        assert!(shows(terminal.screen(), "Degraded: 2 of 3 members Synced"), "{}", terminal.screen().contents());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_gives_the_terminal_back_and_ends_with_130() {
    sit_down(|_world, server| {
        let mut terminal = shell(&server.kubeconfig());
        terminal.keys(&watch());
        terminal.until("healthy", |screen| is_live(screen) && shows(screen, "q: end"));
        // Keys are not echoed into the screen.
        terminal.keys("xyz\x03");
        terminal.until("back", |screen| is_given_back(screen) && screen.contents().trim_end().ends_with("prompt>"));
        assert!(shows(terminal.screen(), "Healthy: 3 of 3 members Synced"), "{}", terminal.screen().contents());
        assert!(!shows(terminal.screen(), "xyz"), "{}", terminal.screen().contents());
        terminal.take_text();
        terminal.keys("echo exit code $?\r");
        // What is typed is shown again, and a whole line is read.
        terminal.wait("echo exit code $?");
        terminal.wait("exit code 130\r\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_anything_was_seen_nothing_is_claimed() {
    sit_down(|world, server| {
        world.lock().cluster("db").member(1).exec = ExecState::Hangs;
        let mut terminal = Terminal::open(&server, &["status", "db", "-n", "shop", "-w", "--pod-timeout=1s"]);
        while world.samples() == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        terminal.resize(40, 80);
        terminal.until("the first look", |screen| shows(screen, "q: end"));
        let drawn = terminal.take_text();
        assert!(!drawn.contains("no cluster"), "{drawn:?}");
        terminal.keys("q");
        assert_eq!(terminal.exit(), 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_is_wrapped_and_not_cut() {
    sit_down(|world, server| {
        let mut terminal = Terminal::open(&server, &["status", "db", "-n", "shop", "-w"]);
        terminal.resize(60, 60);
        terminal.until("healthy", |screen| is_live(screen) && shows(screen, "q: end"));
        world.lock().cluster("db").as_galera().disconnect(2);
        // A look in the middle of the change may have said something else first.
        let whole = "+MDB223 one more loss stops all writes: 2 of 3 members are left in the primary component";
        let spoken = |screen: &vt100::Screen| screen.contents().split_whitespace().collect::<Vec<_>>().join(" ");
        terminal.until("told to its end", |screen| spoken(screen).contains(whole) && shows(screen, "q: end"));
        assert!(shows(terminal.screen(), "Healthy → Degraded;"), "{}", terminal.screen().contents());
        terminal.keys("q");
        assert_eq!(terminal.exit(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_size_draws_all_of_it_anew() {
    sit_down(|_world, server| {
        let mut terminal = Terminal::open(&server, &["status", "db", "-n", "shop", "-w"]);
        terminal.until("healthy", |screen| is_live(screen) && shows(screen, "q: end"));
        terminal.take_text();
        terminal.resize(30, 60);
        terminal.wait("\x1b[2J");
        terminal.until("drawn again", |screen| shows(screen, "q: end"));
        for words in ["Healthy", "POD", "db-0", "db-1", "db-2"] {
            assert!(shows(terminal.screen(), words), "{words}:\n{}", terminal.screen().contents());
        }
        // Lines are cut and not wrapped on that screen: none may need it.
        let lines: Vec<String> = terminal.take_text().split("\x1b[2K").map(plain).collect();
        let widest = lines.iter().map(|line| line.chars().count()).max();
        assert!(lines.len() > 5 && widest <= Some(60), "{lines:#?}");
        terminal.resize(6, 60);
        terminal.until("what fits", |screen| shows(screen, "more lines") && shows(screen, "q: end"));
        terminal.keys("q");
        assert_eq!(terminal.exit(), 0);
    })
    .await;
}

/// Up to the next control sequence that moves the cursor.
fn plain(line: &str) -> String {
    line.split('\x1b').next().unwrap_or_default().trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_gives_the_terminal_back_until_fg() {
    sit_down(|world, server| {
        let mut terminal = shell(&server.kubeconfig());
        terminal.keys(&watch());
        terminal.until("healthy", |screen| is_live(screen) && shows(screen, "q: end"));
        terminal.take_text();
        terminal.keys("\x1a");
        terminal.wait("prompt> ");
        assert!(is_given_back(terminal.screen()), "{}", terminal.screen().contents());
        terminal.keys("echo typed\r");
        terminal.wait("echo typed");
        terminal.wait("typed\r\n");
        world.lock().cluster("db").as_galera().disconnect(2);
        terminal.keys("fg\r");
        terminal.until("the screen again", |screen| is_live(screen) && shows(screen, "Degraded") && shows(screen, "q: end"));
        assert!(!shows(terminal.screen(), "typed"), "{}", terminal.screen().contents());
        // Once more, and keys are still read one by one.
        terminal.take_text();
        terminal.keys("\x1a");
        terminal.wait("prompt> ");
        terminal.keys("fg\r");
        terminal.until("the screen once more", |screen| is_live(screen) && shows(screen, "q: end"));
        terminal.keys("q");
        terminal.until("the end", is_given_back);
        terminal.wait("Degraded");
        // What is typed before the shell has the terminal again may be thrown away.
        terminal.wait("prompt> ");
        terminal.keys("echo exit code $?\r");
        terminal.wait("exit code 3\r\n");
    })
    .await;
}
