"""The ensure-runner stage: it makes or repairs a runner that is missing, where a reason was allowed and approved."""
