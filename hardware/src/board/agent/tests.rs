use super::*;
use proptest::prelude::*;

/// Says some lines, then nothing.
struct Script(VecDeque<String>);

impl Channel for Script {
    fn send(&mut self, _line: &str) -> Result<(), BoardError> {
        Ok(())
    }

    fn receive(&mut self, _wait: Duration) -> Result<Option<String>, BoardError> {
        Ok(self.0.pop_front())
    }
}

fn agent(lines: &[&str]) -> Agent {
    let hello = "Welcome to the board!\n{\"hello\": 1, \"folder\": \"/w\", \"python\": \"3.6.9\", \"machine\": \"m\"}";
    let lines = hello.lines().chain(lines.iter().copied()).map(str::to_owned).collect();
    Agent::greet(Box::new(Script(lines))).unwrap()
}

#[test]
fn what_jobs_do_meanwhile_is_kept_for_later() {
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
    assert_eq!(agent.next(wait).unwrap(), Some((Job(9), line)));
    assert_eq!(agent.next(wait).unwrap(), Some((Job(9), JobEvent::Ended { end: End::Signal(9) })));
    assert_eq!(agent.next(wait).unwrap(), None);
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
            let _ = agent.next(Duration::ZERO);
        }
    }

    #[test]
    fn no_value_in_an_event_makes_it_panic(
        key in "(id|t|line|values|chunk|done|problem|exit|signal|timeout|hello)", value in r#"(-?[0-9]{1,30}|true|null|"x"|\[\]|\{\}|1e400)"#,
    ) {
        let mut agent = agent(&[&format!("{{\"id\": 1, \"{key}\": {value}}}")]);
        let _ = agent.next(Duration::ZERO);
    }
}
