use super::*;
use proptest::prelude::*;

/// Says some lines, then nothing.
struct Script(VecDeque<String>);

impl Channel for Script {
    fn send(&mut self, _line: &str) -> Result<(), RemoteError> {
        Ok(())
    }

    fn receive(&mut self, _wait: Duration) -> Result<Option<String>, RemoteError> {
        Ok(self.0.pop_front())
    }
}

fn agent(lines: &[&str]) -> Agent {
    let hello = "Welcome to the board!\n{\"hello\": 1, \"folder\": \"/w\", \"python\": \"3.6.9\", \"machine\": \"m\"}";
    let lines = hello.lines().chain(lines.iter().copied()).map(str::to_owned).collect();
    Agent::greet(Box::new(Script(lines))).unwrap()
}

impl Agent {
    /// An agent whose program, the first that is started, prints some lines and ends.
    pub(crate) fn of_program(lines: &[&str], exit: i32) -> Self {
        let line = |text: &&str| json!({"id": 1, "t": 5, "line": text}).to_string();
        let done = json!({"id": 1, "t": 4, "done": true}).to_string();
        let end = json!({"id": 1, "t": 6, "exit": exit}).to_string();
        let lines: Vec<String> = [done].into_iter().chain(lines.iter().map(line)).chain([end]).collect();
        agent(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

#[test]
fn events_of_jobs_are_kept_during_an_upload() {
    let mut agent = agent(&[
        r#"{}"#,
        r#"{"id": 9, "t": 5, "line": "before"}"#,
        r#"{"id": 1, "t": 6, "done": true, "path": "/bin/ls"}"#,
        r#"{"id": 9, "t": 7, "signal": 9}"#,
    ]);
    assert_eq!(agent.hello().python, "3.6.9");
    assert_eq!(agent.ask(json!({"do": "which"})).unwrap().path.as_deref(), Some("/bin/ls"));
    let wait = Duration::ZERO;
    let line = JobEvent::Line { at_ns: 5, text: "before".to_owned() };
    assert_eq!(agent.next(Job(8), wait).unwrap(), None);
    assert_eq!(agent.arrived(Job(9)).unwrap(), [line, JobEvent::Ended { end: End::Signal(9) }]);
    assert_eq!(agent.next(Job(9), wait).unwrap(), None);
}

/// Does every order, and knows the longest.
struct Obedient {
    answers: VecDeque<String>,
    longest: Arc<Mutex<usize>>,
}

impl Channel for Obedient {
    fn send(&mut self, line: &str) -> Result<(), RemoteError> {
        let order: Value = serde_json::from_str(line).unwrap();
        self.answers.push_back(json!({"id": order["id"], "t": 1, "done": true}).to_string());
        let mut longest = lock(&self.longest);
        *longest = (*longest).max(line.len());
        Ok(())
    }

    fn receive(&mut self, _wait: Duration) -> Result<Option<String>, RemoteError> {
        Ok(self.answers.pop_front())
    }
}

#[test]
fn a_slow_line_carries_each_piece_of_an_upload_before_it_counts_as_lost() {
    const SLOW_BYTES_PER_S: usize = 3000;
    const SILENCE_S: usize = 20;
    let longest = Arc::new(Mutex::new(0));
    let answers = VecDeque::from([r#"{"hello": 1}"#.to_owned()]);
    let channel = Obedient { answers, longest: Arc::clone(&longest) };
    let mut agent = Agent::greet(Box::new(channel)).unwrap();
    agent.upload(&vec![7; 1 << 20], "models/a.onnx", false).unwrap();
    assert!(*lock(&longest) < SLOW_BYTES_PER_S * SILENCE_S, "{} bytes", lock(&longest));
}

#[test]
fn a_refusal_is_an_error_of_that_order() {
    let mut agent = agent(&[r#"{"id": 1, "t": 6, "problem": "ValueError: ../x lies outside /w"}"#]);
    let error = agent.ask(json!({"do": "remove"})).unwrap_err().to_string();
    assert!(error.contains("lies outside"), "{error}");
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(lines in prop::collection::vec(r#"(\{"id": ?[0-9]{1,20}, )?"?[a-z]{0,8}"?[:,] ?.{0,40}\}?"#, 0..8)) {
        let mut agent = agent(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        for _ in 0..=lines.len() {
            let _ = agent.next(Job(1), Duration::ZERO);
        }
    }

    #[test]
    fn no_value_in_an_event_makes_it_panic(
        key in "(id|t|line|values|chunk|done|problem|exit|signal|timeout|hello)", value in r#"(-?[0-9]{1,30}|true|null|"x"|\[\]|\{\}|1e400)"#,
    ) {
        let mut agent = agent(&[&format!("{{\"id\": 1, \"{key}\": {value}}}")]);
        let _ = agent.next(Job(1), Duration::ZERO);
    }
    /// Whatever events say, what is handed on is bounded and harmless to a terminal, and an error shows the line.
    #[test]
    fn forwarded_text_is_bounded_and_printable(
        events in prop::collection::vec(
            prop::collection::vec(
                (
                    prop::sample::select(&["id", "t", "line", "values", "chunk", "done", "problem", "exit", "signal", "timeout"][..]),
                    prop_oneof![
                        (0..12_u64).prop_map(Value::from), any::<i64>().prop_map(Value::from), any::<bool>().prop_map(Value::from),
                        any::<String>().prop_map(Value::from), Just(json!(["1", "2"])), Just(json!("x\u{1b}[31m".repeat(3000))), Just(Value::Null),
                    ],
                ),
                0..4,
            ),
            0..6,
        ),
    ) {
        let line = |event: &Vec<(&str, Value)>| {
            let event: serde_json::Map<String, Value> = event.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            Value::Object(event).to_string()
        };
        let lines: Vec<String> = events.iter().map(line).collect();
        let agent = agent(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        for line in &lines {
            let received = agent.shared().receive(Duration::ZERO);
            let pending = std::mem::take(&mut agent.shared().pending);
            match received {
                Ok(_) => for event in pending.into_values().flatten() {
                    match event {
                        JobEvent::Line { text, .. } => {
                            prop_assert!(text.len() <= Agent::LONGEST_LINE && !text.contains(|c: char| c.is_control() && c != '\t'));
                        }
                        JobEvent::Ended { end: End::Problem(problem) } => prop_assert!(problem.len() <= 500),
                        _ => {}
                    }
                },
                Err(error) => {
                    let shown: String = line.chars().take(200).collect();
                    prop_assert!(error.to_string().contains(&format!("{shown:?}")), "{}", error);
                    prop_assert!(error.to_string().len() < 4000, "{}", error);
                }
            }
        }
    }
}

/// A board that prints without end while a program runs is not believed for as long as that takes.
#[test]
fn a_flood_beside_a_program_is_an_error() {
    let event = format!("{{\"id\": 9, \"t\": 5, \"line\": \"{}\"}}", "x".repeat(16_000));
    let mut lines = vec![r#"{"id": 1, "t": 6, "done": true}"#];
    lines.extend(std::iter::repeat_n(event.as_str(), Agent::MOST_PENDING / 16_000 + 1));
    lines.push(r#"{"id": 1, "t": 7, "exit": 0}"#);
    let error = agent(&lines).run(&["true".to_owned()], Duration::from_secs(5)).unwrap_err();
    assert!(matches!(error, RemoteError::Flood), "{error}");
}

#[test]
fn messages_during_a_program_are_kept_and_counted() {
    let mut agent = agent(&[
        r#"{"id": 1, "t": 6, "done": true}"#,
        r#"{"id": 9, "t": 5, "line": "beside"}"#,
        r#"{"id": 1, "t": 7, "exit": 0}"#,
    ]);
    let printed = agent.run(&["true".to_owned()], Duration::from_secs(5)).unwrap();
    assert_eq!((printed.end, printed.lines), (End::Exit(0), Vec::new()));
    let line = JobEvent::Line { at_ns: 5, text: "beside".to_owned() };
    assert_eq!(agent.shared().pending_bytes, line.length());
    assert_eq!(agent.next(Job(9), Duration::ZERO).unwrap(), Some(line));
    assert_eq!(agent.shared().pending_bytes, 0);
}
