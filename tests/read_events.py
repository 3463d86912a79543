"""Reads a folder of TensorBoard events with TensorBoard's own loader.

    read_events.py FOLDER

Prints JSON: for each tag of a scalar its steps and values, for each tag of a histogram its steps and the sums of
their buckets.
"""

import json
import sys

from tensorboard.backend.event_processing import event_accumulator


def main():
    everything = {event_accumulator.SCALARS: 0, event_accumulator.HISTOGRAMS: 0}
    events = event_accumulator.EventAccumulator(sys.argv[1], size_guidance=everything)
    events.Reload()
    tags = events.Tags()
    scalars = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags[event_accumulator.SCALARS]}
    histograms = {
        tag: [[e.step, e.histogram_value.bucket] for e in events.Histograms(tag)]
        for tag in tags[event_accumulator.HISTOGRAMS]
    }
    json.dump({"scalars": scalars, "histograms": histograms}, sys.stdout)


if __name__ == "__main__":
    main()
