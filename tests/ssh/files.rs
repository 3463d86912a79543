//! Uploads and folders.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use end_to_end::{Sshd, SshdOptions};
use hardware::remote::ssh::{Connection, SshError};

use super::{connection, options, printed, soon};

/// Bytes that differ everywhere, so that a piece at the wrong place is noticed.
fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|index| (index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_file_is_uploaded_whole_and_replaced() {
    let Some((sshd, mut connection)) = connection() else { return };
    let path = sshd.folder().join("it's a model.onnx");
    for length in [10_000_000, 0, 1, 131_073] {
        let content = content(length);
        connection.upload(&content, text(&path), false).unwrap();
        assert!(fs::read(&path).unwrap() == content, "{length}");
        assert_eq!(connection.size(&format!("{}.part", path.display())).unwrap(), None);
        assert_eq!(connection.size(text(&path)).unwrap(), Some(length as u64));
    }
}

#[test]
fn an_upload_that_broke_off_goes_on_where_it_was() {
    let Some((sshd, mut connection)) = connection() else { return };
    let path = sshd.folder().join("model.onnx");
    let content = content(24 << 20);
    let part = sshd.folder().join("model.onnx.part");
    let error = thread::scope(|scope| {
        let uploading = scope.spawn(|| connection.upload(&content, text(&path), false).unwrap_err());
        assert!(soon(|| fs::metadata(&part).is_ok_and(|part| part.len() > 8 << 20)));
        sshd.cut();
        uploading.join().unwrap()
    });
    assert!(error.is_transient(), "{error}");
    assert!(!path.exists());
    // A mark in what has arrived: it stays, since only the rest is sent.
    let mut arrived = fs::read(&part).unwrap();
    assert!(content.starts_with(&arrived) && arrived.len() > 8 << 20 && arrived.len() < content.len());
    arrived[0] ^= 1;
    fs::write(&part, &arrived).unwrap();
    Connection::open(&options(&sshd)).unwrap().upload(&content, text(&path), false).unwrap();
    let mut whole = fs::read(&path).unwrap();
    assert!(whole != content);
    whole[0] ^= 1;
    assert!(whole == content);
}

#[test]
fn what_an_earlier_upload_left_is_not_trusted_blindly() {
    let Some((sshd, mut connection)) = connection() else { return };
    let (path, part) = (sshd.folder().join("model.onnx"), sshd.folder().join("model.onnx.part"));
    let content = content(300_000);
    // Longer than the new one: of something else.
    fs::write(&part, vec![1; 400_000]).unwrap();
    connection.upload(&content, text(&path), false).unwrap();
    assert!(fs::read(&path).unwrap() == content);
    // The caller has found the hash to be wrong.
    fs::write(&part, vec![1; 200_000]).unwrap();
    connection.upload(&content, text(&path), false).unwrap();
    assert!(fs::read(&path).unwrap() != content);
    fs::write(&part, vec![1; 200_000]).unwrap();
    connection.upload(&content, text(&path), true).unwrap();
    assert!(fs::read(&path).unwrap() == content);
    // Only the renaming was missing.
    fs::write(&part, &content).unwrap();
    connection.upload(&content, text(&path), false).unwrap();
    assert!(fs::read(&path).unwrap() == content);
}

#[test]
fn uploads_that_cannot_be_written_name_the_file() {
    let Some((sshd, mut connection)) = connection() else { return };
    let missing = sshd.folder().join("no/such/folder/model.onnx");
    for path in [missing.as_path(), sshd.folder()] {
        let error = connection.upload(b"content", text(path), false).unwrap_err();
        assert!(matches!(error, SshError::File(_)) && !error.is_transient(), "{error}");
        assert!(error.to_string().contains(text(path)), "{error}");
    }
    if Path::new("/dev/full").exists() {
        let part = sshd.folder().join("full.part");
        std::os::unix::fs::symlink("/dev/full", &part).unwrap();
        let error = connection.upload(b"content", text(&sshd.folder().join("full")), false).unwrap_err();
        assert!(matches!(error, SshError::File(_)), "{error}");
        assert!(error.to_string().contains("is the disk full"), "{error}");
    }
}

#[test]
fn folders_are_made_and_paths_start_at_home() {
    let Some((sshd, mut connection)) = connection() else { return };
    let folder = sshd.folder().join("a/b c/d");
    for path in [text(&folder), &format!("{}/", folder.display())] {
        connection.make_folders(path).unwrap();
        assert!(folder.is_dir());
    }
    let file = sshd.folder().join("file");
    fs::write(&file, "").unwrap();
    let error = connection.make_folders(text(&file.join("folder"))).unwrap_err();
    assert!(matches!(error, SshError::File(_)), "{error}");
    // A relative path starts in the user's home.
    let (home, _) = printed(&sshd, &["pwd"]);
    let name = format!("made-by-a-test-{}", std::process::id());
    for path in [format!("~/{name}"), name.clone()] {
        connection.make_folders(&path).unwrap();
        let made = Path::new(&home[0]).join(&name);
        assert!(made.is_dir());
        fs::remove_dir(made).unwrap();
    }
    assert_eq!(connection.size(text(&sshd.folder().join("nothing"))).unwrap(), None);
}

/// Prints figures; run by `cargo test -p end-to-end --test ssh -- --ignored --nocapture upload_speed`.
#[test]
#[ignore = "a measurement"]
fn upload_speed() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else { return };
    let content = content(64 << 20);
    let source = sshd.folder().join("source");
    fs::write(&source, &content).unwrap();
    let rate = |start: Instant| 64.0 / start.elapsed().as_secs_f64();
    for _ in 0..3 {
        let start = Instant::now();
        let mut connection = Connection::open(&options(&sshd)).unwrap();
        connection.upload(&content, text(&sshd.folder().join("ours")), true).unwrap();
        println!("upload: {:.0} MiB/s", rate(start));
        let start = Instant::now();
        let mut scp = Command::new("scp");
        scp.args(["-q", "-P", &sshd.port().to_string(), "-i"]).arg(sshd.key());
        scp.arg("-o").arg(format!("UserKnownHostsFile={}", sshd.known_hosts().display()));
        let target = format!("{}@127.0.0.1:{}/theirs", sshd.user(), sshd.folder().display());
        assert!(scp.arg(&source).arg(target).status().unwrap().success());
        println!("scp:    {:.0} MiB/s", rate(start));
    }
}
