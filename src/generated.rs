//! Files in `docs/` that are made from the code, and must not differ from it.

use std::path::Path;

use crate::failure::Exit;

/// Compares a file of `docs/` with what it should hold; writes it when `UPDATE_DOCS` is set.
pub fn check(file: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("it lies in docs/")).expect("docs/ can be written");
        std::fs::write(&path, wanted).expect("docs/ can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/{file} is not what the code says; run: UPDATE_DOCS=1 cargo test --lib generated");
}

#[test]
fn exit_codes() {
    let mut text = String::from(
        "# Exit codes\n\n\
         Generated from the code. An interface: codes do not change their meaning.\n\n\
         | code | meaning |\n|---:|---|\n",
    );
    for exit in Exit::ALL {
        text.push_str(&format!("| {} | {} |\n", exit.code(), exit.meaning()));
    }
    text.push_str(
        "\n`galera grastate`: 0 a member is elected, or a primary component lives and none is needed; 4 something that decides \
         (files, a position, a server) could not be read; 5 everything is read and none may be chosen; 7 the question before \
         helper pods was answered with no; 8 a right is missing. A dry run whose helper pods would be accepted is 0.\n\n\
         Where several of 3, 4 and 8 apply, the first of 3, 8, 4 is given. \
         Facts that are not needed for the verdict (nodes, volume claims, events, Services) never change the code: \
         they show as `?`, and the last line names the missing rights.\n\n\
         With `-o json` or `-o yaml` there is exactly one document on stdout for every code but 2; \
         with `-o jsonl` it is the last line. A reader that closes the pipe early is no failure.\n\n\
         `status --watch` ends with the code of the last verdict when `q` is pressed, and with 130 on Ctrl-C. A verdict of 0 \
         becomes 4 while the API server is silent, and where `--settled` finds that two looks do not agree.\n\n\
         On Windows, kubectl may turn every code but 0 into 1; `kubectl-mariadb` called directly gives the real one.\n",
    );
    check("exit-codes.md", &text);
}
