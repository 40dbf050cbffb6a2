"""The web floor: a thin blueprint for each flow, under the flow's name."""
