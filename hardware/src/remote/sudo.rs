//! What sudo prints where the user lacks a right.

/// Whether a text is sudo's refusal: it asks for a password, or its rules do not allow the command.
pub(crate) fn sudo_refuses(text: &str) -> bool {
    /// Parts of its messages, in lower case; see `plugins/sudoers/logging.c` and `src/` of sudo.
    const SIGNS: [&str; 11] = [
        "password is required",
        "asks for a password",
        "to read the password",
        "askpass",
        "not in the sudoers",
        "not allowed to execute",
        "not allowed to run",
        "may not run sudo",
        "must have a tty",
        "no tty present",
        "no new privileges",
    ];
    let lower = text.to_lowercase();
    // Its texts are translated; its name at their beginning is not.
    let is_own = |line: &str| {
        let line = line.trim_start();
        line.starts_with("sudo: ") && !line.contains("command not found") && !line.contains("resolve host")
    };
    SIGNS.iter().any(|sign| lower.contains(sign)) || lower.lines().any(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_known_with_and_without_the_word_password() {
        for text in [
            "sudo: a password is required",
            "Sorry, user nvidia is not allowed to execute '/usr/sbin/nvpmodel -m 0' as root on tx2.",
            "nvidia is not in the sudoers file.  This incident will be reported.",
            "Sorry, user nvidia may not run sudo on tx2.",
            "sudo: sorry, you must have a tty to run sudo",
            "sudo: no tty present and no askpass program specified",
            "sudo: Ein Passwort ist notwendig",
            "sudo: The \"no new privileges\" flag is set, which prevents sudo from running as root.",
        ] {
            assert!(sudo_refuses(text), "{text}");
        }
        for text in
            ["NVPM ERROR: no such mode", "it printed nothing", "pseudo: tty", "sudo: unable to resolve host tx2"]
        {
            assert!(!sudo_refuses(text), "{text}");
        }
    }
}
