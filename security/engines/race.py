"""Whether an S3 store lets exactly one of several writers make a name: without that no pointer in it can be trusted.

A store that takes `If-None-Match: *` and ignores it answers each writer alone as it should, and tells all of them that
they were first. So writers race, under a name that nobody else has, and are counted.
"""

import secrets
from concurrent.futures import ThreadPoolExecutor

from security.engines.s3 import Credentials, Endpoint, client
from security.errors import CannotTell

WRITERS = 8
LOST = {"PreconditionFailed", "ConditionalRequestConflict"}
"""What a writer is told who was not first: 412, and 409 while the first still writes."""


def conditional(endpoint: Endpoint, credentials: Credentials, bucket: str, prefix: str) -> bool:
    """Whether one writer alone wins a race for a new name, and whoever holds an old mark cannot write over it.

    The probe's object is removed again. `CannotTell` if a writer gets an answer that says neither.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    name, owner = f"{prefix}sluice-race-{secrets.token_hex(12)}", endpoint.account
    clients = [client(endpoint, credentials) for _ in range(WRITERS)]  # made before: the writes shall be at once

    def won(number: int, **condition: str) -> bool:
        try:
            clients[number].put_object(
                Bucket=bucket, Key=name, Body=bytes([number]), ExpectedBucketOwner=owner, **condition  # type: ignore[arg-type]
            )  # fmt: skip
        except ClientError as no:
            if no.response["Error"].get("Code") in LOST:
                return False
            raise
        return True

    try:
        with ThreadPoolExecutor(WRITERS) as pool:
            winners = sum(pool.map(lambda number: won(number, IfNoneMatch="*"), range(WRITERS)))
        stale = won(0, IfMatch=f'"{secrets.token_hex(16)}"')
        for each in clients[0].list_object_versions(Bucket=bucket, Prefix=name, ExpectedBucketOwner=owner)["Versions"]:
            clients[0].delete_object(Bucket=bucket, Key=name, VersionId=each["VersionId"], ExpectedBucketOwner=owner)
    except (BotoCoreError, ClientError, KeyError) as why:
        raise CannotTell(f"s3://{bucket}/{prefix}: a conditional write has no answer: {type(why).__name__}") from None
    return winners == 1 and not stale
