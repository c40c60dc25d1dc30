"""The process that signs: it alone reads private keys, and who works asks it, by role, over a socket.

A pipeline starts one for itself, of its own user: the code that trains has no way to it, and nothing else is kept from
the keys. Or another user has one (`sluice signer`) that listens: then the pipeline cannot read a key at all, and can
only ask. Either way a role signs statements of its own types and no other, and the producer's moreover the payload that
names an image, in the one spelling that who signs makes himself; of a person's roles, `owner` and `approver`, it has
none.

`wire` is what goes over the socket, `serve` the process that signs, `ask` the side of who works.

A message is four bytes of length and that many bytes: a line of JSON, and what is to be signed. An answer is likewise,
with `+` or, before a sentence for an operator, `-`. Who is at the other end of a socket the system says (SO_PEERCRED).
"""
