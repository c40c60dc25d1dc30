"""The recommender: split, metrics, baselines, the autoencoder, and its inference without TensorFlow."""
