"""E-mail: alerts through an SMTP server, with a picture of the incident (RFC 5321, RFC 5322)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Literal

from autoencoder.alerts.channel import Channel, DeliveryResult, Draw, facts, headline, sentence
from autoencoder.alerts.outbox import Alert
from autoencoder.core.errors import AutoencoderError

if TYPE_CHECKING:
    from email.message import EmailMessage
    from smtplib import SMTP

Security = Literal["starttls", "ssl", "none"]
PORTS: dict[Security, int] = {"starttls": 587, "ssl": 465, "none": 25}
DOMAIN = "autoencoder.invalid"  # of message ids


@dataclass(kw_only=True, eq=False)
class Email(Channel):
    """Mails an alert; its Message-ID follows from its key, and all mails of an incident are one conversation.

    Examples:
        >>> Email(host="smtp.example.org", recipients=["on-call@example.org"], timeout=10).name
        'email'
    """

    name = "email"

    host: str
    recipients: Sequence[str]
    timeout: float  # seconds
    port: int | None = None  # None: that of ``PORTS``
    security: Security = "starttls"
    sender: str | None = None  # None: the first recipient
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    picture: bool = True

    def send(self, key: str, alert: Alert, draw: Draw) -> DeliveryResult:
        """Send one mail; only what the server refuses for good is not tried again."""
        import smtplib
        import ssl

        try:
            message = self._message(key, alert, draw)
            with self._connection() as server:
                refused = server.send_message(message)
        except smtplib.SMTPAuthenticationError as error:
            return DeliveryResult("failed", f"the login was refused ({error.smtp_code})")
        except smtplib.SMTPRecipientsRefused as error:
            return _answer(max(code for code, _ in error.recipients.values()), "it refused all recipients")
        except smtplib.SMTPResponseException as error:
            return _answer(error.smtp_code, "it answered")
        except ssl.SSLError:
            return DeliveryResult("failed", "its certificate is not trusted, or it does not speak TLS on that port")
        except TimeoutError:
            return DeliveryResult("failed", f"no answer within {self.timeout:g} s")
        except smtplib.SMTPNotSupportedError:
            return DeliveryResult("failed", "it offers no STARTTLS or no login; see alerts.email.security")
        except (OSError, smtplib.SMTPException):
            return DeliveryResult("failed", "no connection, or it broke off")
        except Exception as error:  # the thread must outlive whatever a library raises
            return DeliveryResult("failed", type(error).__name__)
        return DeliveryResult("delivered", f"it refused {len(refused)} of {len(self.recipients)} recipients" if refused else "")

    def _connection(self) -> SMTP:
        """A session with the server, secured and logged in as asked for."""
        import smtplib
        import ssl

        context, port = ssl.create_default_context(), self.port or PORTS[self.security]
        if self.security == "ssl":
            server: SMTP = smtplib.SMTP_SSL(self.host, port, timeout=self.timeout, context=context)
        else:
            server = smtplib.SMTP(self.host, port, timeout=self.timeout)
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user:
                server.login(self.user, self.password or "")
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, key: str, alert: Alert, draw: Draw) -> EmailMessage:
        from email.message import EmailMessage
        from email.utils import format_datetime

        message = EmailMessage()
        message["Subject"] = headline(alert)
        message["From"], message["To"] = self.sender or self.recipients[0], ", ".join(self.recipients)
        message["Date"], message["Message-ID"] = format_datetime(datetime.fromisoformat(alert["at"])), f"<{key}@{DOMAIN}>"
        message["References"] = f"<{alert['incident_key']}@{DOMAIN}>"
        message["Auto-Submitted"] = "auto-generated"
        listed = facts(alert) | ({"Look": alert["link"]} if alert["link"] else {})
        picture, note = self._drawn(draw)
        text = "\n".join([sentence(alert), "", *(f"{name}: {value}" for name, value in listed.items()), *note])
        message.set_content(text + "\n")
        if picture:
            message.add_alternative(_html(alert, listed), subtype="html")
            # the part just added; the stubs do not know that a message of several parts holds a list of messages
            related = message.get_payload()[1]  # type: ignore[index]
            related.add_related(picture, "image", "png", cid="<incident>", filename="incident.png", disposition="inline")  # type: ignore[union-attr]
        return message

    def _drawn(self, draw: Draw) -> tuple[bytes | None, list[str]]:
        """The picture, or why there is none."""
        if not self.picture:
            return None, []
        try:
            return draw(), []
        except Exception as error:  # a mail without a picture is better than none
            known = isinstance(error, AutoencoderError | ImportError)
            return None, [f"Without a picture: {error if known else type(error).__name__}"]


def _answer(code: int, what: str) -> DeliveryResult:
    """What an SMTP reply code means: 4xx later, 5xx never (RFC 5321, section 4.2.1)."""
    return DeliveryResult("refused" if 500 <= code < 600 else "failed", f"{what} ({code})")


def _html(alert: Alert, listed: dict[str, str]) -> str:
    rows = "".join(f"<tr><td>{escape(name)}&nbsp;&nbsp;</td><td>{_cell(name, value)}</td></tr>" for name, value in listed.items())
    return f'<p><b>{escape(headline(alert))}</b></p><table>{rows}</table><p><img src="cid:incident" alt="plot" width="900"></p>'


def _cell(name: str, value: str) -> str:
    return f'<a href="{escape(value)}">{escape(value)}</a>' if name == "Look" else escape(value)
