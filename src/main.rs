use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(kubectl_mariadb::run(kubectl_mariadb::process::Process::real()).code())
}
