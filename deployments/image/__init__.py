"""The image of the service, put together without a daemon: an approved base, then the service, then the model.

Of the same base, files and model it is the same digest each time, whoever makes it. It is an OCI layout on disk, which
any tool copies to a registry.
"""
