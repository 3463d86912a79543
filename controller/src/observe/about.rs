//! What a run is, for TensorBoard: its settings on the HParams page, and its experiment as text.
//!
//! The HParams plugin reads three summaries without values of their own: which settings and results there are, the
//! settings of the run, and its end.

use protobuf::well_known_types::Value;
use protobuf::{Message, RepeatedField};
use tensorboard_proto::api::{DataType, Experiment, HParamInfo, MetricInfo, MetricName, Status};
use tensorboard_proto::plugin_hparams::{
    HParamsPluginData, HParamsPluginData_oneof_data, SessionEndInfo, SessionStartInfo,
};
use tensorboard_proto::summary::{Summary, Summary_Value, SummaryMetadata};
use tensorboard_proto::tensor::TensorProto;
use tensorboard_proto::tensor_shape::{TensorShapeProto, TensorShapeProto_Dim};
use tensorboard_proto::types;

/// The settings of a run that distinguish it from others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    /// Name and value of each setting, such as `strategy` and `random`.
    pub settings: Vec<(String, String)>,
    /// The experiment, everything resolved, as TOML.
    pub experiment: String,
}

/// The result of a run on the HParams page: the tag of a scalar, of which the last value counts.
pub(super) const RESULT: &str = "front/hypervolume";

impl About {
    /// The summaries of a run that begins at `now_s`, in seconds since 1970.
    pub(super) fn begin(&self, now_s: f64) -> protobuf::ProtobufResult<Vec<Summary>> {
        let mut experiment = Experiment::new();
        experiment.set_hparam_infos(self.settings.iter().map(|(name, _)| info(name)).collect());
        experiment.set_metric_infos(RepeatedField::from_vec(vec![result()]));
        let mut start = SessionStartInfo::new();
        start.set_start_time_secs(now_s);
        start.set_hparams(self.settings.iter().map(|(name, value)| (name.clone(), string(value))).collect());
        Ok(vec![
            hparams("_hparams_/experiment", HParamsPluginData_oneof_data::experiment(experiment))?,
            hparams("_hparams_/session_start_info", HParamsPluginData_oneof_data::session_start_info(start))?,
            text("experiment", &format!("```toml\n{}\n```", self.experiment.trim_end())),
        ])
    }
}

/// The summary of a run that has ended at `now_s`.
pub(super) fn end(now_s: f64) -> protobuf::ProtobufResult<Summary> {
    let mut end = SessionEndInfo::new();
    end.set_status(Status::STATUS_SUCCESS);
    end.set_end_time_secs(now_s);
    hparams("_hparams_/session_end_info", HParamsPluginData_oneof_data::session_end_info(end))
}

/// A text in Markdown.
pub(super) fn text(tag: &str, markdown: &str) -> Summary {
    let mut dimension = TensorShapeProto_Dim::new();
    dimension.set_size(1);
    let mut shape = TensorShapeProto::new();
    shape.set_dim(RepeatedField::from_vec(vec![dimension]));
    let mut tensor = TensorProto::new();
    tensor.set_dtype(types::DataType::DT_STRING);
    tensor.set_tensor_shape(shape);
    tensor.set_string_val(RepeatedField::from_vec(vec![markdown.as_bytes().to_vec()]));
    let mut value = value_of(tag, "text", Vec::new());
    value.set_tensor(tensor);
    summary(value)
}

fn info(name: &str) -> HParamInfo {
    let mut info = HParamInfo::new();
    info.set_name(name.to_owned());
    info.set_field_type(DataType::DATA_TYPE_STRING);
    info
}

fn result() -> MetricInfo {
    let mut name = MetricName::new();
    name.set_tag(RESULT.to_owned());
    let mut info = MetricInfo::new();
    info.set_name(name);
    info
}

fn string(text: &str) -> Value {
    let mut value = Value::new();
    value.set_string_value(text.to_owned());
    value
}

fn hparams(tag: &str, data: HParamsPluginData_oneof_data) -> protobuf::ProtobufResult<Summary> {
    let mut content = HParamsPluginData::new();
    content.data = Some(data);
    Ok(summary(value_of(tag, "hparams", content.write_to_bytes()?)))
}

fn value_of(tag: &str, plugin: &str, content: Vec<u8>) -> Summary_Value {
    let mut metadata = SummaryMetadata::new();
    metadata.mut_plugin_data().set_plugin_name(plugin.to_owned());
    metadata.mut_plugin_data().set_content(content);
    let mut value = Summary_Value::new();
    value.set_tag(tag.to_owned());
    value.set_metadata(metadata);
    value
}

fn summary(value: Summary_Value) -> Summary {
    let mut summary = Summary::new();
    summary.set_value(RepeatedField::from_vec(vec![value]));
    summary
}
