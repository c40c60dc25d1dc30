"""What can go wrong with a cluster.

ClusterError       each says in one sentence what was asked, what came of it, and what stands now
├── Unreachable    no answer: nobody there, a certificate of somebody else, a connection that was lost, no time left
├── Odd            an answer that is none of an API server's
├── Unknown        401: the cluster does not know who asks
├── Forbidden      403: the verb and the resource that the identity has no right to
├── Missing        404: an object, a namespace or a kind that is not there
├── Conflict       409: fields that somebody else manages, and who
├── Moved          409: another version of it is there than the one that was seen
├── Invalid        400, 413, 415, 422: what was sent cannot be
├── Busy           429, 500, 503, 504: asked as often as is allowed, and still no answer
├── Locked         another rollout is under way
├── Unready        a rollout that never became ready, or a job that never ended
└── Undone         a release that was taken away again, or a switch that was not made; why, and what serves
"""

from security.errors import SluiceError


class ClusterError(SluiceError):
    """Base of all."""


class Unreachable(ClusterError):
    """No answer."""


class Odd(ClusterError):
    """An answer that is none of an API server's: nothing is concluded from it."""


class Unknown(ClusterError):
    """The cluster does not know who asks."""


class Forbidden(ClusterError):
    """The identity has no right to a verb on a resource."""


class Missing(ClusterError):
    """There is no such thing."""


class Conflict(ClusterError):
    """Somebody else manages fields that were to be set. `fields`: path and manager of each."""

    def __init__(self, message: str, fields: tuple[tuple[str, str], ...]) -> None:
        super().__init__(message)
        self.fields = fields


class Moved(ClusterError):
    """Another version of an object is there than the one that was seen, or one where none was."""


class Invalid(ClusterError):
    """What was sent cannot be."""


class Busy(ClusterError):
    """Asked as often as is allowed, and still no answer."""


class Locked(ClusterError):
    """Another rollout is under way: who holds the lock, and until when."""


class Unready(ClusterError):
    """What was waited for did not come about."""


class Undone(ClusterError):
    """A release that was taken away again, or a switch that was not made. `left`: what could not be taken away."""

    def __init__(self, message: str, left: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.left = left
