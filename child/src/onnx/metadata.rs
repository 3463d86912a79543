//! The metadata of a file: what its reader needs to feed the network and to read its output.

use super::Description;
use super::proto::StringStringEntryProto;

/// Keys and values of a file's metadata.
pub(super) fn of(description: &Description) -> Vec<StringStringEntryProto> {
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
    let mut entries = vec![entry("architecture", description.architecture.to_owned())];
    match description.deployment {
        Some(deployment) => {
            entries.extend([
                entry("data_set", deployment.data_set.clone()),
                entry("input_range", format!("0 to {}", deployment.scale)),
                entry("colour_order", deployment.colour_order().to_owned()),
                entry("resize_filter", deployment.resize_filter()),
                entry("class_names", serde_json::Value::from(deployment.class_names.clone()).to_string()),
            ]);
            let of_files = [("grey_weights", deployment.grey_weights()), ("orientation", deployment.orientation())];
            entries.extend(of_files.into_iter().filter_map(|(key, value)| Some(entry(key, value?.to_owned()))));
        }
        None => entries.push(entry("normalisation", "stands in: the data set was not read".to_owned())),
    }
    for accuracy in description.accuracies {
        entries.push(entry(accuracy.key, accuracy.share.to_string()));
        entries.push(entry(&format!("{}_images", accuracy.key), accuracy.images.clone()));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataConfig, Deployment, Normalisation};
    use crate::onnx::Accuracy;

    #[test]
    fn the_metadata_say_how_to_feed_the_network_and_what_its_outputs_mean() {
        let dataset = DataConfig::default().load().unwrap();
        let normalisation = Normalisation::of(&dataset.train);
        let mut deployment = Deployment::of(&dataset, normalisation);
        let accuracies = [Accuracy { key: "accuracy", share: 0.875, images: "8 images".to_owned() }];
        let read = |deployment: Option<&Deployment>| -> Vec<(String, String)> {
            let entries = of(&Description { architecture: "|a|", deployment, accuracies: &accuracies });
            entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            read(Some(&deployment)),
            [
                pair("architecture", "|a|"),
                pair("data_set", "digits"),
                pair("input_range", "0 to 16"),
                pair("colour_order", "grey"),
                pair("resize_filter", "none: all images have 8x8 pixels (width x height)"),
                pair("class_names", r#"["0","1","2","3","4","5","6","7","8","9"]"#),
                pair("accuracy", "0.875"),
                pair("accuracy_images", "8 images"),
            ]
        );
        assert_eq!(read(None)[1], pair("normalisation", "stands in: the data set was not read"));
        deployment.from_files = true;
        assert_eq!(read(Some(&deployment))[6], pair("grey_weights", "[0.2126,0.7152,0.0722]"));
        assert!(read(Some(&deployment))[7].1.starts_with("upright"));
        deployment.shape.channels = 3;
        assert_eq!(read(Some(&deployment))[6].0, "orientation", "colours have no weights");
        deployment.class_names = vec!["a, \"b\"\n".to_owned(), "ö".to_owned()];
        assert_eq!(read(Some(&deployment))[5], pair("class_names", r#"["a, \"b\"\n","ö"]"#));
    }
}
