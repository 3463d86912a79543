//! Models on the device's machine.

use std::time::Duration;

use serde_json::json;

use super::agent::Agent;
use super::error::RemoteError;
use super::place::Place;
use crate::model::Model;

/// Folder of models, within the work folder.
pub(crate) const MODELS: &str = "models";
/// Bytes that have to be free besides what is uploaded: an engine, and the tools' own files.
pub(crate) const FREE: u64 = 64 << 20;

/// Makes sure that a model's file is where the device is; gives its path there. Files of the folders `older`, within the
/// work folder, go first where the disk is full.
pub(crate) fn provide(agent: &mut Agent, place: &Place, model: &Model, older: &[&str]) -> Result<String, RemoteError> {
    match place {
        Place::Here => {
            let path = std::path::absolute(&model.path).map_err(|error| unreadable(model, &error))?;
            Ok(path.display().to_string())
        }
        Place::Over(_) => upload(agent, model, older),
    }
}

/// Removes a model that [`provide`] uploaded to this path, and that the device does not need any more.
pub(crate) fn discard(agent: &mut Agent, place: &Place, path: &str) -> Result<(), RemoteError> {
    match place {
        Place::Here => Ok(()),
        Place::Over(_) => agent.ask(json!({"do": "remove", "path": path})).map(|_| ()),
    }
}

fn upload(agent: &mut Agent, model: &Model, older: &[&str]) -> Result<String, RemoteError> {
    // Tools tell formats apart by it.
    let extension = model.path.extension().and_then(|extension| extension.to_str());
    let is_plain = |extension: &&str| extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let path = format!("{MODELS}/{}.{}", model.sha256, extension.filter(is_plain).unwrap_or("onnx"));
    if is_whole(agent, &path, model)? {
        return Ok(path);
    }
    let content = std::fs::read(&model.path).map_err(|error| unreadable(model, &error))?;
    agent.ask(json!({"do": "make", "path": MODELS}))?;
    agent.make_room(content.len() as u64 + FREE, older)?;
    for fresh in [false, true] {
        agent.upload(&content, &path, fresh).map_err(|error| match error {
            // The board is there; its disk is full, or the folder may not be written to.
            RemoteError::Agent { problem } => RemoteError::Failed {
                problem: format!("the model cannot be written to {}: {problem}", agent.hello().folder),
            },
            error => error,
        })?;
        if is_whole(agent, &path, model)? {
            return Ok(path);
        }
    }
    Err(RemoteError::Failed {
        problem: "the model arrives on the board with another content than it left with".to_owned(),
    })
}

fn unreadable(model: &Model, error: &std::io::Error) -> RemoteError {
    RemoteError::Refused { reason: format!("the model {} cannot be read: {error}", model.path.display()) }
}

/// Whether a model's file is there, content and all.
fn is_whole(agent: &mut Agent, path: &str, model: &Model) -> Result<bool, RemoteError> {
    let found = agent.ask_within(json!({"do": "sha256", "path": path}), Duration::from_secs(120))?.sha256;
    Ok(found.as_deref() == Some(&model.sha256))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_partial_upload_is_continued_and_its_content_checked() {
        let folder = tempfile::tempdir().unwrap();
        let Ok(mut agent) = Place::Here.connect(&folder.path().join("work").display().to_string()) else { return };
        let content: Vec<u8> =
            (0..600_000_u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
        fs::write(folder.path().join("model.onnx"), &content).unwrap();
        let model = Model::load("a", folder.path().join("model.onnx")).unwrap();
        let models = folder.path().join("work/models");
        fs::create_dir_all(&models).unwrap();
        // Something longer, another beginning, the beginning of this one, and all of it but for its name.
        for left in [&[1; 700_000][..], &[1; 200_000], &content[..300_000], &content] {
            let part = models.join(format!("{}.onnx.part", model.sha256));
            fs::write(&part, left).unwrap();
            let path = folder.path().join("work").join(upload(&mut agent, &model, &[MODELS]).unwrap());
            assert!(fs::read(&path).unwrap() == content && !part.exists(), "{} bytes", left.len());
            fs::remove_file(path).unwrap();
        }
        fs::remove_dir(&models).unwrap();
        fs::write(&models, "").unwrap();
        assert!(upload(&mut agent, &model, &[MODELS]).unwrap_err().to_string().contains("models"));
    }

    #[test]
    fn models_that_are_used_again_go_last_where_room_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let Ok(mut agent) = Place::Here.connect(&folder.path().display().to_string()) else { return };
        let engine = "engines/a.plan";
        fs::create_dir(folder.path().join("engines")).unwrap();
        let file = fs::File::create(folder.path().join(engine)).unwrap();
        for order in ["exists", "sha256"] {
            let long_ago = SystemTime::now() - Duration::from_secs(1000);
            file.set_modified(long_ago).unwrap();
            agent.ask(json!({"do": order, "path": engine})).unwrap();
            assert!(file.metadata().unwrap().modified().unwrap() > long_ago + Duration::from_secs(500), "{order}");
        }

        fs::create_dir(folder.path().join(MODELS)).unwrap();
        fs::write(folder.path().join("models/b.onnx"), "").unwrap();
        let error = agent.make_room(u64::MAX, &["engines", MODELS, "none"]).unwrap_err().to_string();
        assert!(error.contains("disk is full"), "{error}");
        let left = |name: &str| fs::read_dir(folder.path().join(name)).unwrap().count();
        assert_eq!((left("engines"), left(MODELS)), (0, 0));
    }

    #[test]
    fn an_impossible_work_folder_is_an_error_at_once_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Place::Here.connect(&file.join("work").display().to_string()).err().unwrap();
        assert!(!error.is_transient() && error.to_string().contains(&file.display().to_string()), "{error}");
        assert!(error.to_string().contains("work folder"), "{error}");
    }
}
