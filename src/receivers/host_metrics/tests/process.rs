//! Processes: their series, what ends them, and the bounds.

use opentelemetry_proto::tonic::common::v1::any_value;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_takes_its_series_along() {
    let mut fixture = HostFixture::new("{process: {mute_process_user_error: true}}");
    fixture.process(7, "one", "one", 100);
    fixture.process(8, "two", "two", 100);
    says(&mut fixture, &[("one", true), ("two", true)]).await;
    fs::remove_dir_all(fixture.root.path().join("proc/7")).unwrap();
    says(&mut fixture, &[("two", true), ("one", false)]).await;
    says(&mut fixture, &[("two", true)]).await;
}

#[tokio::test(start_paused = true)]
async fn processes_beyond_the_bounds_are_left_out_and_counted() {
    let mut fixture = HostFixture::new(
        "{process: {max_processes: 2, max_command_line: 64, mute_process_user_error: true}}",
    );
    for pid in [7, 8, 9] {
        fixture.process(pid, "one", &"x".repeat(100), 0);
    }
    // The directory of process 1, which holds the files of its namespace, is listed too.
    let (batch, scrape) = fixture.poll().await;
    let failures: Vec<(&str, FailureReason)> = scrape
        .failures()
        .iter()
        .map(|failure| (failure.part.as_str(), failure.reason))
        .collect();
    assert_eq!(
        failures,
        [
            ("processes", FailureReason::Limit),
            ("process command lines", FailureReason::Limit),
        ]
    );
    assert!(scrape.up());
    let text = format!("{:?}", request(&batch));
    assert!(text.contains(&"x".repeat(64)) && !text.contains(&"x".repeat(65)));
}

#[tokio::test(start_paused = true)]
async fn what_fails_of_a_process_counts_unless_it_is_muted() {
    let f = |keys: &'static str, expected: &'static [&'static str]| async move {
        let mut fixture = HostFixture::new(&format!("{{process: {{{keys}}}}}"));
        fixture.process(7, "one", "one", 0);
        // Reading a directory fails, whoever asks.
        let io = fixture.root.path().join("proc/7/io");
        fs::remove_file(&io).unwrap();
        fs::create_dir(&io).unwrap();
        let (batch, scrape) = fixture.poll().await;
        let parts: Vec<&str> = scrape
            .failures()
            .iter()
            .map(|failure| failure.part.as_str())
            .collect();
        assert_eq!(parts, expected, "{keys}");
        assert!(
            series(&batch).contains_key("process.memory.usage"),
            "the rest is there"
        );
    };
    f("", &["process io", "process users"]).await;
    f("mute_process_io_error: true", &["process users"]).await;
    f("mute_process_user_error: true", &["process io"]).await;
    f("mute_process_all_errors: true", &[]).await;
}

/// The commands of the processes of a batch, and whether their series go on.
fn commands(batch: &Batch) -> Vec<(String, bool)> {
    let request = request(batch);
    let mut found = Vec::new();
    for resource in &request.resource_metrics {
        let text = format!("{resource:?}");
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        let command = attributes.iter().find(|own| own.key == "process.command");
        if let Some(command) = command {
            let value = command.value.as_ref().unwrap().value.clone();
            let Some(any_value::Value::StringValue(command)) = value else {
                panic!("{text}");
            };
            found.push((command, !text.contains("flags: 1")));
        }
    }
    found
}

/// Asserts what a poll says of which processes.
async fn says(fixture: &mut HostFixture, expected: &[(&str, bool)]) {
    let (batch, _) = fixture.poll().await;
    let found = commands(&batch);
    let found: Vec<_> = found.iter().map(|(c, live)| (c.as_str(), *live)).collect();
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_becomes_another_program_ends_unless_it_is_selected() {
    let mut fixture = HostFixture::new(
        "{process: {include: {match_type: strict, names: [one, three]}, \
         mute_process_user_error: true}}",
    );
    fixture.process(7, "one", "one", 100);
    fixture.process(8, "two", "two", 100);
    says(&mut fixture, &[("one", true)]).await;
    fixture.process(7, "three", "three", 100);
    says(&mut fixture, &[("one", false), ("three", true)]).await;
    fixture.process(7, "four", "four", 100);
    says(&mut fixture, &[("three", false)]).await;
    says(&mut fixture, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_falls_behind_the_bound_ends() {
    let mut fixture = HostFixture::new("{process: {max_processes: 2}}");
    // The first is the directory of process 1, which holds the files of its namespace.
    fixture.process(7, "one", "one", 100);
    says(&mut fixture, &[("one", true)]).await;
    fixture.process(5, "two", "two", 100);
    says(&mut fixture, &[("two", true), ("one", false)]).await;
    says(&mut fixture, &[("two", true)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_young_process_ends_the_series_of_the_one_that_had_its_number() {
    let mut fixture = HostFixture::new("{process: {scrape_process_delay: 15s}}");
    fixture.process(7, "old", "old", 100);
    says(&mut fixture, &[("old", true)]).await;
    // The host started at 1000, and the next poll is at 2020.
    fixture.process_since(1010, 7, "new", "new", 0);
    says(&mut fixture, &[("old", false)]).await;
    says(&mut fixture, &[("new", true)]).await;
}

#[tokio::test(start_paused = true)]
async fn the_utilization_of_a_process_is_of_the_time_between_its_own_readings() {
    let mut fixture = HostFixture::new(
        "{process: {metrics: {process.cpu.utilization: {enabled: true}}, \
         mute_process_all_errors: true}}",
    );
    let ticks = rustix::param::clock_ticks_per_second();
    let key = r#"process.cpu.utilization{state="user"}"#;
    let stat = fixture.root.path().join("proc/7/stat");
    fixture.process(7, "one", "one", 0);
    assert!(!fixture.series().await.contains_key(key), "no interval yet");
    // Reading a directory fails, whoever asks.
    fs::remove_file(&stat).unwrap();
    fs::create_dir(&stat).unwrap();
    assert!(!fixture.series().await.contains_key(key));
    fs::remove_dir(&stat).unwrap();
    fixture.process(7, "one", "one", 5 * ticks);
    assert_eq!(fixture.series().await.get(key), Some(&0.25), "of 20 s");
    fixture.process(7, "one", "one", 10 * ticks);
    assert_eq!(fixture.series().await.get(key), Some(&0.5), "of 10 s");
}

#[tokio::test(start_paused = true)]
async fn the_bound_of_processes_with_details_takes_none_from_the_counts() {
    let mut fixture = HostFixture::new(
        "{processes: , process: {max_processes: 2, mute_process_user_error: true}}",
    );
    for pid in [7, 8, 9] {
        fixture.process(pid, "one", "one", 0);
    }
    let (batch, scrape) = fixture.poll().await;
    assert_eq!(scrape.failures()[0].part, "processes");
    let series = series(&batch);
    let count = |status: &str| {
        let key = format!(r#"system.processes.count{{status="{status}"}}"#);
        series.get(&key).copied()
    };
    assert_eq!(count("sleeping"), Some(3.0));
    assert_eq!(count("unknown"), None, "{series:?}");
}
