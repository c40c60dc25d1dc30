"""Tries to change a bucket with the pipeline's own key, and puts back whatever could be changed."""

from typing import TYPE_CHECKING

from security.engines.settings import Answer, Whose
from security.errors import CannotTell

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MALFORMED = '{"Version": "2012-10-17", "Statement": ['
"""No policy: a server that would set one at our word can only answer that this is malformed."""


class Tamper:
    """What must be refused: to put, to delete, to set a policy. `key` is one that no object has."""

    def __init__(self, s3: "S3Client", to: Whose, key: str) -> None:
        self.s3, self.to, self.key = s3, to, key

    def put(self) -> Answer:
        """Put an empty object; if that works, take it away again."""
        done = self.s3.put_object(**self.to, Key=self.key, Body=b"")
        return {"status": 200, "removed": self.removed(done.get("VersionId", ""))}

    def delete(self) -> Answer:
        """Delete what is not there: if that is allowed, it leaves a delete marker, to be taken away again."""
        done = self.s3.delete_object(**self.to, Key=self.key)
        return {"status": 204, "removed": "VersionId" not in done or self.removed(done["VersionId"])}

    def policy(self) -> Answer:
        """Set a policy that is none. A server that takes even that gets the one back that it had."""
        former = self._former()
        self.s3.put_bucket_policy(**self.to, Policy=MALFORMED)
        return {"status": 200, "restored": self.restored(former)}

    def restored(self, former: str | None) -> bool:
        """Whether the bucket has the policy again that it had."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if former is None:
                self.s3.delete_bucket_policy(**self.to)
            else:
                self.s3.put_bucket_policy(**self.to, Policy=former)
        except (BotoCoreError, ClientError):
            return False
        return True

    def _former(self) -> str | None:
        """The policy as it is; `CannotTell` if it could not be put back."""
        from botocore.exceptions import ClientError

        try:
            return self.s3.get_bucket_policy(**self.to)["Policy"]
        except ClientError as no:
            if no.response["Error"].get("Code") == "NoSuchBucketPolicy":
                return None
            raise CannotTell("the bucket policy cannot be read, and so could not be put back") from None

    def removed(self, version: str) -> bool:
        """Whether the probe's object could be deleted by our own right."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if version:
                self.s3.delete_object(**self.to, Key=self.key, VersionId=version)
            else:
                self.s3.delete_object(**self.to, Key=self.key)
        except (BotoCoreError, ClientError):
            return False
        return True
