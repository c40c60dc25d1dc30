"""The image of the service, put together without a daemon: an approved base, then the service, the model, and the log.

Of the same base, files, model and log it is the same digest each time, whoever makes it. It is an OCI layout on disk,
which any tool copies to a registry.
"""
