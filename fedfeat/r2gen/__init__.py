"""R2Gen (Chen et al., EMNLP 2020): reports from radiographs by a transformer with a relational memory."""
