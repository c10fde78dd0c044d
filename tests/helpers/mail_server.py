"""A real SMTP server on the loopback interface that takes mails, or misbehaves as it is told."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "robot", "pa55w0rd"
HANG_UP = "hang up"


class MailServer(Controller):
    """Takes mails over TLS from who logs in; answers the first as ``first`` says, each an SMTP answer or ``HANG_UP``.

    TLS begins with STARTTLS, or with the connection where ``is_wrapped``. Nobody is no recipient.
    """

    def __init__(self, certificate: Path, first: Sequence[str] = (), *, is_wrapped: bool = False) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        self.mails: list[EmailMessage] = []
        self.answered: list[EmailMessage] = []  # those that it took
        self._answers = list(first)
        tls = {"ssl_context": context} if is_wrapped else {"tls_context": context, "require_starttls": True}
        options = {"auth_required": True, "auth_require_tls": not is_wrapped, "authenticator": self._authenticate}
        super().__init__(self, hostname="127.0.0.1", port=0, **tls, **options)  # type: ignore[arg-type]

    def _trigger_server(self) -> None:
        """The port is known only now."""
        assert self.server
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()

    def _authenticate(self, server: SMTP, session: Session, envelope: Envelope, how: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=False)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 taken"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        answer = self._answers.pop(0) if self._answers else "250 taken"
        if answer == HANG_UP:
            assert server.transport
            server.transport.close()
        elif answer.startswith("250"):
            self.answered.append(mail)
        return answer
