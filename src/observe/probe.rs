//! The look of one pod: the script that runs in the container, and the reading of what it prints.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{certificate, server};
use crate::api::{script, sql};
use crate::model::disk::{Copying, Disk, Process, Side, Space, StateFile};
use crate::model::fact::{Fact, Obstacle, Why};
use crate::model::grastate::Grastate;
use crate::model::gtid::GtidState;
use crate::model::gvwstate::Gvwstate;
use crate::model::kubernetes::Layout;
use crate::model::server::Server;

/// Starts every section line of a sample, and heads every result set in it.
pub const MARK: &str = "@@kubectl-mariadb@@";

/// The last line of a sample.
pub const END: &str = "@@kubectl-mariadb@@ end";

const FUNCTIONS: [&str; 2] = [script::CLIENT, include_str!("probe.sh")];

/// One sample per newline on stdin; ends when stdin ends, or after 30 s without a newline where the shell can tell.
const SESSION: &str = "if [ -n \"$BASH_VERSION\" ]; then wait_for() { IFS= read -r -t 30 _; }; \
                       else wait_for() { IFS= read -r _; }; fi\nwhile wait_for; do sample; done\n";

/// How often the script looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    Once,
    /// Once per newline.
    Session,
    /// Once, at a volume in a helper pod.
    AtRest,
}

/// The text to write to the loader's stdin.
#[must_use]
pub fn script(layout: &Layout, looks: Looks) -> String {
    script_with(layout, looks, None)
}

/// The same with a password for the server, in place of what the container knows. The text then holds it: it may go
/// to the loader's stdin and nowhere else (safety G5).
#[must_use]
pub fn script_with(layout: &Layout, looks: Looks, password: Option<&str>) -> String {
    let mounts: Vec<&str> = layout.mounts.iter().map(|mount| mount.path.as_str()).collect();
    text(&mounts, looks, password)
}

/// The same for the directories of a helper pod that may be or hold the data directory, the most likely first.
#[must_use]
pub fn script_at_rest(mounts: &[&str]) -> String {
    text(mounts, Looks::AtRest, None)
}

fn text(mounts: &[&str], looks: Looks, password: Option<&str>) -> String {
    let mounts = mounts.join(
        "
",
    );
    let settings = [
        ("mark", MARK),
        ("mounts", &mounts),
        ("sql", &server::questions(MARK)),
        ("view_sql", &server::view_question(MARK)),
        ("end_sql", &server::last_question(MARK)),
        ("given_user", ""),
        ("given", password.unwrap_or_default()),
    ];
    let mut text = script::assignments(&settings);
    FUNCTIONS.iter().for_each(|functions| script::append(&mut text, functions));
    text.push_str(match looks {
        Looks::Once => "sample\n",
        Looks::Session => SESSION,
        Looks::AtRest => "sample_at_rest\n",
    });
    text.push_str("--go\n");
    text
}

/// What one look at one pod found.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub server: Fact<Server>,
    pub files: Fact<Disk>,
}

impl Sample {
    /// Nothing is known, for one reason.
    #[must_use]
    pub fn unknown(why: &Why) -> Self {
        Self { server: Fact::Unknown(why.clone()), files: Fact::Unknown(why.clone()) }
    }
}

/// Reads one sample. Output without its last line was cut: then nothing of it is trusted.
#[must_use]
pub fn read(output: &[u8], asked: Timestamp) -> Sample {
    let sections = Sections::of(output);
    if !sections.has("end") {
        return Sample::unknown(&Why::Failed("the look at the pod was cut short: its output has no end".into()));
    }
    let files = disk(&sections, asked);
    let server = if matches!(files, Ok(Disk { process: Process::None, .. })) && !sections.answered() {
        Err(Why::NotRunning("no mariadbd process runs in the container".into()))
    } else {
        answers(&sections).and_then(|sets| server::read(&sets, asked).map_err(Why::Failed))
    };
    Sample { server: server.into(), files: files.into() }
}

/// Sections by name: the words behind the name on its line, and the bytes up to the next section.
struct Sections<'a>(BTreeMap<&'a str, (&'a str, &'a [u8])>);

impl<'a> Sections<'a> {
    fn of(output: &'a [u8]) -> Self {
        let mut sections = BTreeMap::new();
        let starts: Vec<(usize, usize)> = lines(output)
            .filter(|(start, end)| {
                output[*start..*end].starts_with(MARK.as_bytes()) && output.get(start + MARK.len()) == Some(&b' ')
            })
            .collect();
        for (number, (start, end)) in starts.iter().enumerate() {
            let Ok(header) = std::str::from_utf8(&output[start + MARK.len() + 1..*end]) else { continue };
            let (name, words) = header.split_once(' ').unwrap_or((header, ""));
            let body = (end + 1).min(output.len());
            // The script writes a line end before each section line: it is not part of the section before.
            let next = starts.get(number + 1).map_or(output.len(), |(next, _)| next.saturating_sub(1));
            sections.insert(name, (words, &output[body.min(next)..next.max(body.min(next))]));
        }
        Self(sections)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn words(&self, name: &str) -> &'a str {
        self.0.get(name).map_or("", |(words, _)| words)
    }

    fn bytes(&self, name: &str) -> &'a [u8] {
        self.0.get(name).map_or(&[], |(_, bytes)| bytes)
    }

    fn text(&self, name: &str) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.bytes(name))
    }

    fn list(&self, name: &str) -> Vec<String> {
        self.text(name).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// The client delivered all result sets.
    fn answered(&self) -> bool {
        sql::result_sets(MARK, &self.text("sql")).contains_key("end")
    }
}

/// Start and end (without line end) of each line.
fn lines(output: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut start = 0;
    output.split(|byte| *byte == b'\n').map(move |line| {
        let range = (start, start + line.len());
        start = range.1 + 1;
        range
    })
}

fn disk(sections: &Sections<'_>, asked: Timestamp) -> Result<Disk, Why> {
    let place = sections.list("datadir");
    let [datadir, condition] = place.as_slice() else {
        return Err(Why::Failed("the look at the pod names no data directory".into()));
    };
    match condition.as_str() {
        "missing" => return Err(Why::Failed(format!("the data directory {datadir} does not exist in the container"))),
        "foreign" => {
            return Err(Why::Failed(format!("the volume at {datadir} holds files, and no data directory was found on it")));
        }
        "unreadable" => return Err(Why::Failed(format!("the container's user may not read the data directory {datadir}"))),
        _ => {}
    }
    let info = ["mariadb_upgrade_info", "mysql_upgrade_info"].into_iter().find(|name| sections.words(name) == "present");
    Ok(Disk {
        asked,
        datadir: datadir.clone(),
        initialised: condition == "initialised",
        empty: condition == "empty",
        grastate: state_file(sections, "grastate.dat", datadir, Grastate::parse)?,
        gvwstate: state_file(sections, "gvwstate.dat", datadir, Gvwstate::parse)?,
        transfer_markers: sections.list("markers"),
        copying: copying(&sections.text("transfer")),
        upgrade_info: info.map(|name| sections.text(name).trim_matches(['\0', '\n', ' ']).to_owned()),
        logged: logged(&sections.list("logged")),
        follows: sections.text("follows").trim() == "yes",
        space: space(&sections.text("space")).map_err(Why::Failed)?,
        process: process(&sections.text("process")).map_err(Why::Failed)?,
        starts_read_only: switch(sections.text("read-only").trim()),
        bootstrap_switches: sections.list("switches"),
        certificate: certificate::read(&sections.text("certificate")),
    })
}

/// By the name of the log. What cannot be read is no log.
fn logged(lines: &[String]) -> BTreeMap<String, GtidState> {
    let named = |line: &String| line.starts_with("file ");
    let files = lines.chunk_by(|_, next| !named(next)).filter(|lines| named(&lines[0]));
    files
        .filter_map(|lines| {
            let gtids: Vec<&str> = lines[1..].iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
            Some((lines[0].trim_start_matches("file ").to_owned(), gtids.join(",").parse().ok()?))
        })
        .collect()
}

fn state_file<T>(
    sections: &Sections<'_>,
    name: &str,
    datadir: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<StateFile<T>, Why> {
    match sections.words(name) {
        "absent" => Ok(StateFile::read(None, parse)),
        "present" => Ok(StateFile::read(Some(sections.bytes(name)), parse)),
        "unreadable" => Err(Why::Failed(format!("the container's user may not read {datadir}/{name}"))),
        _ => Err(Why::Failed(format!("the look at the pod does not mention {name}"))),
    }
}

/// `SIDE METHOD SECONDS PEER`, then one `KIB total` line per group of files that were counted, or `cut`.
fn copying(text: &str) -> Option<Copying> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let mut words = lines.next()?.split(' ');
    let side = match words.next()? {
        "donor" => Side::Donor,
        "joiner" => Side::Joiner,
        _ => return None,
    };
    let method = words.next().filter(|method| !method.is_empty())?.to_owned();
    let seconds = words.next()?.parse().ok()?;
    let kib: Option<Vec<u64>> = lines.map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    let bytes = kib.filter(|kib| !kib.is_empty()).map(|kib| kib.iter().sum::<u64>() * 1024);
    let peer = words.next().map(host).filter(|host| side == Side::Donor && !host.is_empty()).map(str::to_owned);
    Some(Copying { side, method, seconds, peer, bytes })
}

/// The host of `HOST:PORT/MODULE`; IPv6 addresses stand in brackets.
fn host(address: &str) -> &str {
    match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, _)) => ip,
        None => address.split(['/', ':']).next().unwrap_or_default(),
    }
}

/// A boolean option as people write it.
fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "1" | "true" => Some(true),
        "off" | "0" | "false" => Some(false),
        _ => None,
    }
}

/// The last line of `df -kP`: file system, blocks, used, available, capacity, mount point.
fn space(text: &str) -> Result<Space, String> {
    let problem = || format!("df does not say how full the volume is: {}", text.trim());
    // The name of the file system may hold blanks: count from the capacity (`12%`).
    let words: Vec<&str> = text.split_whitespace().collect();
    let capacity = words.iter().position(|word| word.ends_with('%')).ok_or_else(problem)?;
    let [total, used, available] = words.get(capacity.wrapping_sub(3)..capacity).ok_or_else(problem)? else {
        return Err(problem());
    };
    let bytes = |word: &str| word.parse::<u64>().map(|kib| kib * 1024).map_err(|_| problem());
    Ok(Space { total: bytes(total)?, used: bytes(used)?, available: bytes(available)? })
}

/// `PID STATE`, then one `listen HEXPORT` line per listening socket; nothing when no server runs.
fn process(text: &str) -> Result<Process, String> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let Some(first) = lines.next() else { return Ok(Process::None) };
    let problem = || format!("the state of the server process is unreadable: {first}");
    let (pid, state) = first.split_once(' ').ok_or_else(problem)?;
    let mut listening: Vec<u16> = lines
        .filter_map(|line| line.strip_prefix("listen "))
        .map(|port| u16::from_str_radix(port, 16).map_err(|_| problem()))
        .collect::<Result<_, _>>()?;
    listening.sort_unstable();
    listening.dedup();
    Ok(Process::Running { pid: pid.parse().map_err(|_| problem())?, state: state.chars().next().ok_or_else(problem)?, listening })
}

/// The result sets of the client, or why there are none.
fn answers(sections: &Sections<'_>) -> Result<BTreeMap<String, Vec<sql::Row>>, Why> {
    if sections.words("sql-end") == "noclient" {
        return Err(sql::no_client());
    }
    let sets = sql::result_sets(MARK, &sections.text("sql"));
    if sets.contains_key("end") {
        return Ok(sets);
    }
    let end = sections.text("sql-end");
    let exit = end.lines().rev().find_map(|line| line.strip_prefix("exit ")?.parse().ok());
    let errors: String = end.lines().filter(|line| !line.starts_with("exit ")).map(|line| format!("{line}\n")).collect();
    Err(match sql::obstacle(exit, &errors) {
        Why::NoSql { obstacle: Obstacle::WrongPassword, .. } if sections.words("sql-end") == "given" => {
            let line = errors.lines().find(|line| line.starts_with("ERROR ")).unwrap_or_default();
            let message = format!("the server refuses the password that you gave ({line})");
            Why::NoSql { obstacle: Obstacle::WrongPassword, message }
        }
        why => why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn sample(sql: &str, sql_end: &str) -> Vec<u8> {
        format!(
            "\n{MARK} process\n17 S\nlisten 0CEA\nlisten 11D7\nlisten 0CEA\n\
             \n{MARK} datadir\n/var/lib/mysql\ninitialised\n\
             \n{MARK} markers\nsst_in_progress\n\
             \n{MARK} grastate.dat present\n# GALERA saved state\nversion: 2.1\n\
             uuid:    2ec812f1-e4f6-11f1-ad8a-7a5c33de3170\nseqno:   -1\nsafe_to_bootstrap: 0\n   \
             \n{MARK} gvwstate.dat absent\n\
             \n{MARK} mariadb_upgrade_info present\n11.8.6-MariaDB\0\n\
             \n{MARK} space\n/dev/my disk 1000 600 350 64% /var/lib/mysql\n\
             \n{MARK} switches\nfile /etc/mysql/conf.d/1-bootstrap.cnf\n\
             \n{MARK} sql\n{sql}\n{MARK} sql-end client\n{sql_end}\n\
             \n{MARK} end\n"
        )
        .into_bytes()
    }

    fn answers() -> String {
        format!(
            "{MARK}\nvariables\njson\n{{\"gtid_binlog_pos\":\"0-100-7\",\"gtid_binlog_state\":\"0-100-7\",\"gtid_current_pos\":\"0-100-7\",\
             \"gtid_domain_id\":\"0\",\"gtid_slave_pos\":\"\",\"gtid_strict_mode\":\"ON\",\"hostname\":\"db-0\",\
             \"innodb_flush_log_at_trx_commit\":\"1\",\"log_bin\":\"ON\",\"log_slave_updates\":\"ON\",\"max_connections\":\"151\",\
             \"read_only\":\"OFF\",\"server_id\":\"100\",\"version\":\"11.8.6-MariaDB-log\"}}\n\
             {MARK}\nstatus\njson\n{{\"slaves_connected\":\"2\",\"threads_connected\":\"3\",\"uptime\":\"60\"}}\n\
             {MARK}\nreplicas\n{MARK}\nend\nsentinel\nend\n"
        )
    }

    #[test]
    fn a_whole_sample_is_read() {
        let sample = read(&sample(&answers(), "exit 0"), NOW);
        let disk = sample.files.known().expect("files");
        assert_eq!(disk.process, Process::Running { pid: 17, state: 'S', listening: vec![3306, 4567] });
        assert_eq!(disk.space, Space { total: 1_024_000, used: 614_400, available: 358_400 });
        assert_eq!(disk.transfer_markers, ["sst_in_progress"]);
        assert_eq!(disk.upgrade_info.as_deref(), Some("11.8.6-MariaDB"));
        assert_eq!(disk.bootstrap_switches, ["file /etc/mysql/conf.d/1-bootstrap.cnf"]);
        assert!(matches!(&disk.grastate, StateFile::Parsed(state) if state.seqno.is_none()));
        assert_eq!(disk.gvwstate, StateFile::Absent);
        let server = sample.server.known().expect("server");
        assert_eq!((server.server_id, server.read_only, server.replicas_connected), (100, false, 2));
        assert_eq!(server.gtid.binlog_pos.to_string(), "0-100-7");
        assert!(server.galera.is_none() && server.channels.is_empty());
    }

    #[test]
    fn the_logs_of_a_stopped_server_are_told_by_their_names() {
        let logged = |text: &str| {
            let logs = logged(&text.lines().map(str::to_owned).collect::<Vec<_>>());
            logs.into_iter().map(|(name, state)| format!("{name}: {state}")).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(logged("file binlog\n0-7-3\n0-8-12\n"), "binlog: 0-7-3,0-8-12");
        assert_eq!(logged("file binlog\n"), "binlog: ");
        assert_eq!(logged("file db-0-bin\n0-7-3\n\nfile old\n0-7-4\n"), "db-0-bin: 0-7-3; old: 0-7-4");
        assert_eq!(logged("file old\nbinary\nfile binlog\n0-7-3\n"), "binlog: 0-7-3");
        for text in ["", "0-7-3\n"] {
            assert_eq!(logged(text), "", "{text}");
        }
    }

    #[test]
    fn a_server_that_refuses_leaves_the_files_known() {
        let refusal = "ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)\nexit 1";
        let sample = read(&sample("", refusal), NOW);
        assert!(sample.files.known().is_ok());
        assert!(matches!(sample.server, Fact::Unknown(Why::NoSql { obstacle: Obstacle::WrongPassword, .. })));
    }

    #[test]
    fn answers_without_their_end_are_not_trusted() {
        let half = answers().replace(&format!("{MARK}\nend\nsentinel\nend\n"), "");
        let sample = read(&sample(&half, "ERROR 1146 (42S02) at line 9: no such table\nexit 1"), NOW);
        assert!(matches!(&sample.server, Fact::Unknown(Why::Failed(text)) if text.contains("1146")), "{:?}", sample.server);
    }

    #[test]
    fn every_cut_of_the_output_is_noticed() {
        let whole = sample(&answers(), "exit 0");
        let end = whole.len() - 1;
        for length in 0..end {
            let cut = read(&whole[..length], NOW);
            assert!(cut.server.known().is_err() && cut.files.known().is_err(), "cut at {length}");
        }
        assert!(read(&whole[..end], NOW).server.known().is_ok());
    }

    #[test]
    fn a_state_transfer_is_read_from_its_script() {
        let joiner = copying("joiner mariabackup 12 10.0.0.3\n40960\ttotal\n1024\ttotal\n0\ttotal\n").unwrap();
        assert_eq!((joiner.side, joiner.method.as_str(), joiner.seconds), (Side::Joiner, "mariabackup", 12));
        assert_eq!((joiner.bytes, joiner.peer), (Some(41 << 20), None));
        let donor = copying("donor rsync 7 db-2.db:4444/rsync_sst\n").unwrap();
        assert_eq!((donor.peer.as_deref(), donor.bytes), (Some("db-2.db"), None), "not counted is not 0");
        assert_eq!(copying("donor rsync 7 [fd00::1]:4444/rsync_sst\n").unwrap().peer.as_deref(), Some("fd00::1"));
        assert_eq!(copying("joiner rsync 7 x\n40960\ttotal\ncut\n").unwrap().bytes, None, "half a count is none");
        assert_eq!(copying(""), None);
        assert_eq!(copying("donor  x \n"), None);
    }

    #[test]
    fn the_script_carries_mount_paths_as_words_of_the_shell() {
        use crate::model::kubernetes::{Mount, VolumeSource};
        let mount = |path: &str| Mount { path: path.into(), volume: "data".into(), source: VolumeSource::Claim };
        let layout = Layout { mounts: vec![mount("/data dir"), mount("/it's")], ..crate::model::testing::stateful_set(1).layout };
        let text = script(&layout, Looks::Once);
        assert!(text.contains("mounts='/data dir\n/it'\\''s'\n"), "{text}");
        assert!(text.ends_with("\nsample\n--go\n"));
        assert_eq!(text.lines().filter(|line| *line == "--go").count(), 1);
    }

    #[test]
    fn only_a_volume_without_a_single_file_is_called_empty() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path();
        let look = || {
            let text = script_at_rest(&[volume.to_str().unwrap()]).replace("--go\n", "");
            let ended = std::process::Command::new("sh").args(["-c", &text]).output().unwrap();
            read(&ended.stdout, NOW).files
        };
        assert!(look().known().unwrap().empty);
        // As a chart leaves a volume whose data was deleted.
        std::fs::create_dir_all(volume.join("data")).unwrap();
        std::fs::create_dir_all(volume.join("lost+found")).unwrap();
        assert!(look().known().unwrap().empty);
        // Without its system tables it is no server's any more, and may hold all the rows.
        std::fs::write(volume.join("data/ibdata1"), "").unwrap();
        assert!(look().known().is_ok_and(|disk| !disk.initialised && !disk.empty));
        std::fs::remove_file(volume.join("data/ibdata1")).unwrap();
        std::fs::write(volume.join("data/dump.sql"), "").unwrap();
        assert!(look().known().unwrap_err().to_string().contains("no data directory was found"));
        std::fs::create_dir_all(volume.join("data/mysql")).unwrap();
        assert!(look().known().is_ok_and(|disk| disk.initialised && !disk.empty));
    }

    #[test]
    fn what_the_script_of_a_donor_leaves_is_no_mark_of_a_copy_into_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path();
        let marks = || {
            let text = script_at_rest(&[volume.to_str().unwrap()]).replace("--go\n", "");
            let ended = std::process::Command::new("sh").args(["-c", &text]).output().unwrap();
            read(&ended.stdout, NOW).files.known().unwrap().transfer_markers.clone()
        };
        std::fs::create_dir(volume.join("mysql")).unwrap();
        std::fs::write(volume.join("wsrep_sst.pid"), "").unwrap();
        assert_eq!(marks(), [""; 0]);
        std::fs::create_dir(volume.join(".sst")).unwrap();
        std::fs::write(volume.join("sst_in_progress"), "").unwrap();
        assert_eq!(marks(), ["sst_in_progress", ".sst"]);
    }
}
