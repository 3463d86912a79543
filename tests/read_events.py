"""Reads a folder of TensorBoard events with TensorBoard's own loader.

    read_events.py FOLDER

Prints JSON: for each tag of a scalar its steps and values, for each tag of a text its last value, the settings on the
HParams page, and the tags of its results.
"""

import json
import sys

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import metadata


def main():
    everything = {event_accumulator.SCALARS: 0, event_accumulator.TENSORS: 0}
    events = event_accumulator.EventAccumulator(sys.argv[1], size_guidance=everything)
    events.Reload()
    tags = events.Tags()
    scalars = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags[event_accumulator.SCALARS]}
    texts = {tag: text_of(events.Tensors(tag)[-1]) for tag in events.PluginTagToContent("text")}
    pages = events.PluginTagToContent("hparams")
    start = metadata.parse_session_start_info_plugin_data(pages[metadata.SESSION_START_INFO_TAG])
    experiment = metadata.parse_experiment_plugin_data(pages[metadata.EXPERIMENT_TAG])
    ended = metadata.SESSION_END_INFO_TAG in pages
    json.dump(
        {
            "scalars": scalars,
            "texts": texts,
            "settings": {name: value.string_value for name, value in start.hparams.items()},
            "known_settings": [info.name for info in experiment.hparam_infos],
            "results": [info.name.tag for info in experiment.metric_infos],
            "ended": ended,
        },
        sys.stdout,
    )


def text_of(event):
    return event.tensor_proto.string_val[0].decode()


if __name__ == "__main__":
    main()
