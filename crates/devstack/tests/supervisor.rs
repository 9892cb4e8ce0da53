//! The real servers, through the death of their supervisor.

use std::path::Path;
use std::time::Duration;

use devstack::home::Home;
use devstack::launch;
use devstack::process::Process;
use devstack::state::State;
use devstack::supervisor::Options;
use rustix::process::Signal;

const SERVERS: [&str; 4] = ["postgres-a", "postgres-b-replica", "redis-order", "kafka"];

#[tokio::test]
async fn whatever_dies_the_next_start_finds_its_way_and_stop_leaves_no_process() {
    let devstack = Path::new(env!("CARGO_BIN_EXE_devstack"));
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path()).unwrap();
    let options = Options::for_tests();
    let start = async || {
        launch::start(devstack, &home, &options, |_| {})
            .await
            .unwrap()
    };
    let processes = |platform: &devstack::platform::Platform| -> Vec<Process> {
        SERVERS.map(|name| platform.process(name).unwrap()).into()
    };

    let first = start().await;
    let orphans = processes(&first);
    first.kill("postgres-a").await.unwrap();
    let supervisor = State::current(&home).unwrap().supervisor().unwrap();
    supervisor.end(Signal::KILL, Duration::ZERO).await;
    let second = start().await;
    let successors = processes(&second);
    let survived = orphans.iter().filter(|process| process.is_alive()).count();
    launch::stop(&home).await.unwrap();
    let left = successors
        .iter()
        .filter(|process| process.is_alive())
        .count();
    home.remove().unwrap();

    assert_eq!((survived, left), (0, 0));
}
