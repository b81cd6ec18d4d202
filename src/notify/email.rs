use std::time::Duration;

use lettre::{
    Address, Message,
    message::{Mailbox, SinglePart},
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::error::{Error, causes};

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Not at all: for a server on this machine.
    None,
    /// Begins in the clear and must become protected before anything is said; usually port 587.
    #[default]
    StartTls,
    /// From the first byte; usually port 465.
    Tls,
}

/// The mail server and who we are there.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// Name of the server; its certificate must have it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Sender, as `name@example.com` or `Name <name@example.com>`.
    pub from: String,
    /// Protection.
    pub tls: Tls,
    /// Login, when the server wants one.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretString>,
    /// For one mail, from connecting until the server has taken it.
    pub timeout: Duration,
}

/// One mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// One recipient, with or without a name.
    pub to: String,
    /// Subject; line breaks become spaces.
    pub subject: String,
    /// Body, plain text.
    pub text: String,
    /// Stable name of this mail, the same when it is sent again: it becomes the `Message-ID`, so
    /// that mail programs show a repetition once.
    pub id: String,
}

/// Sends mail through one server, over a connection of its own for each.
///
/// Connections are not kept: lettre's pool takes back a connection that was given up in the middle
/// of a mail, and its asynchronous transport waits for answers without a limit.
#[derive(Clone)]
pub struct Mailer {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<Credentials>,
    timeout: Duration,
    from: Mailbox,
}

#[derive(Clone)]
enum Encryption {
    None,
    StartTls(TlsParameters),
    Wrapped(TlsParameters),
}

/// How long the server may take to say goodbye after it has taken a mail.
const GOODBYE: Duration = Duration::from_secs(1);

/// Whether `text` can be a sender or recipient: for the configuration, before anything is sent.
pub fn check_address(text: &str) -> Result<(), String> {
    mailbox(text).map(|_| ())
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    if text.chars().any(char::is_control) {
        return Err("not a mail address: it has control characters in it".to_owned());
    }
    text.trim()
        .parse()
        .map_err(|error: lettre::address::AddressError| format!("not a mail address: {error}"))
}

impl Mailer {
    /// A mailer for this server. Connects with the first mail.
    pub fn new(settings: &SmtpSettings) -> Result<Self, Error> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let parameters = || TlsParameters::new(settings.host.clone()).map_err(|error| Error::permanent(causes(&error)));
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            encryption: match settings.tls {
                Tls::None => Encryption::None,
                Tls::StartTls => Encryption::StartTls(parameters()?),
                Tls::Tls => Encryption::Wrapped(parameters()?),
            },
            credentials: match (&settings.user, &settings.password) {
                (Some(user), Some(password)) => {
                    Some(Credentials::new(user.clone(), password.expose_secret().to_owned()))
                }
                _ => None,
            },
            timeout: settings.timeout,
            from: mailbox(&settings.from).map_err(Error::permanent)?,
        })
    }

    /// Hands a mail to the server. When the connection breaks at the last moment the server may
    /// have taken it: that counts as transient, and the repetition has the same `Message-ID`.
    pub async fn send(&self, mail: &Mail) -> Result<(), Error> {
        let message = self.message(mail)?;
        let mut connection = tokio::time::timeout(self.timeout, self.hand_over(&message))
            .await
            .unwrap_or_else(|_| {
                let seconds = self.timeout.as_secs_f64();
                Err(Error::transient(format!(
                    "the mail server took longer than {seconds} s"
                )))
            })?;
        // The mail is out; a server that does not say goodbye changes nothing about that.
        let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
        Ok(())
    }

    async fn hand_over(&self, message: &Message) -> Result<AsyncSmtpConnection, Error> {
        // Until the mail is named a refusal is about us, even one "for ever" (a wrong password):
        // it is no reason to give up the mail.
        let mut connection = self
            .connect()
            .await
            .map_err(|error| Error::transient(format!("no use of the mail server: {}", causes(&error))))?;
        match connection.send(message.envelope(), &message.formatted()).await {
            Ok(_) => Ok(connection),
            Err(error) if error.is_permanent() || error.is_client() => {
                Err(Error::permanent(format!("the mail was refused: {}", causes(&error))))
            }
            Err(error) => Err(Error::transient(format!("the mail was not taken: {}", causes(&error)))),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let hello = ClientId::default();
        let server = (self.host.as_str(), self.port);
        let wrapped = match &self.encryption {
            Encryption::Wrapped(parameters) => Some(parameters.clone()),
            Encryption::None | Encryption::StartTls(_) => None,
        };
        let timeout = Some(self.timeout);
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, timeout, &hello, wrapped, None).await?;
        if let Encryption::StartTls(parameters) = &self.encryption {
            // Fails when the server does not offer it: nothing is said in the clear.
            connection.starttls(parameters.clone(), &hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    fn message(&self, mail: &Mail) -> Result<Message, Error> {
        let to = mailbox(&mail.to).map_err(Error::permanent)?;
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(one_line(&mail.subject))
            .message_id(Some(message_id(&mail.id, &self.from.email)))
            .singlepart(SinglePart::plain(mail.text.clone()))
            .map_err(|error| Error::permanent(format!("the mail could not be written: {}", causes(&error))))
    }
}

/// A header is one line: whatever else a template made becomes spaces.
fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.trim().to_owned()
}

/// `<id@domain of the sender>`, with nothing in the id that could end the header.
fn message_id(id: &str, from: &Address) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let id: String = id.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    format!("<{id}@{}>", from.domain())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
    };

    fn settings(port: u16) -> SmtpSettings {
        SmtpSettings {
            host: "127.0.0.1".to_owned(),
            port,
            from: "Example <hello@example.com>".to_owned(),
            tls: Tls::None,
            user: None,
            password: None,
            timeout: Duration::from_secs(5),
        }
    }

    fn mail(to: &str, subject: &str) -> Mail {
        Mail {
            to: to.to_owned(),
            subject: subject.to_owned(),
            text: "Hello.\n.\nA line after a lonely dot.".to_owned(),
            id: "job-17".to_owned(),
        }
    }

    /// No answer at all.
    const SILENCE: &str = "";

    /// A mail server that answers RCPT with `reply` and keeps all lines it is told.
    async fn server(reply: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (read, mut write) = socket.into_split();
                let mut lines = BufReader::new(read).lines();
                let _ = write.write_all(b"220 test\r\n").await;
                let mut in_data = false;
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                        "." if in_data => {
                            in_data = false;
                            "250 ok\r\n".to_owned()
                        }
                        _ if in_data => String::new(),
                        "RCPT" if reply == SILENCE => String::new(),
                        "RCPT" => format!("{reply}\r\n"),
                        "DATA" => {
                            in_data = true;
                            "354 go\r\n".to_owned()
                        }
                        _ => "250 ok\r\n".to_owned(),
                    };
                    let goodbye = line == "QUIT";
                    log.lock().expect("a log").push(line);
                    if goodbye {
                        break;
                    }
                    let _ = write.write_all(answer.as_bytes()).await;
                }
            }
        });
        (port, heard)
    }

    #[tokio::test]
    async fn a_mail_arrives_with_its_stable_id_and_no_invented_headers() {
        let (port, heard) = server("250 ok").await;
        let mailer = Mailer::new(&settings(port)).expect("a mailer");
        let mail = mail("Анна <anna@example.com>", "Trial\r\nBcc: victim@example.com");
        mailer.send(&mail).await.expect("sent");
        mailer.send(&mail).await.expect("sent again");
        let heard = heard.lock().expect("a log").clone();
        let ids: Vec<_> = heard.iter().filter(|line| line.starts_with("Message-ID:")).collect();
        assert_eq!(ids, ["Message-ID: <job-17@example.com>"; 2]);
        assert!(
            heard.contains(&"Subject: Trial  Bcc: victim@example.com".to_owned()),
            "{heard:#?}"
        );
        assert!(!heard.iter().any(|line| line.starts_with("Bcc")), "{heard:#?}");
        assert!(heard.contains(&"A line after a lonely dot.".to_owned()), "{heard:#?}");
    }

    #[tokio::test]
    async fn refusals_for_ever_and_for_now_are_told_apart() {
        for (reply, permanent) in [("550 no such user", true), ("451 try later", false)] {
            let (port, _) = server(reply).await;
            let mailer = Mailer::new(&settings(port)).expect("a mailer");
            let error = mailer.send(&mail("a@example.com", "x")).await.expect_err("refused");
            assert_eq!(matches!(error, Error::Permanent { .. }), permanent, "{error}");
            assert!(error.to_string().contains(&reply[4..]), "{error}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = closed.local_addr().expect("an address").port();
        drop(closed);
        let mailer = Mailer::new(&settings(port)).expect("a mailer");
        let error = mailer
            .send(&mail("a@example.com", "x"))
            .await
            .expect_err("nobody there");
        assert!(matches!(error, Error::Transient { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_silent_server_costs_the_time_limit_and_no_more() {
        // It accepts connections and never says a word; the second one stops at the mail itself.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let silent = listener.local_addr().expect("an address").port();
        let (stuck, _) = server(SILENCE).await;
        for port in [silent, stuck] {
            let mailer = Mailer::new(&SmtpSettings {
                timeout: Duration::from_millis(300),
                ..settings(port)
            });
            let started = std::time::Instant::now();
            let error = mailer.expect("a mailer").send(&mail("a@example.com", "x")).await;
            assert!(matches!(error, Err(Error::Transient { .. })), "{error:?}");
            assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        }
    }

    #[tokio::test]
    async fn a_password_is_not_said_in_the_clear_where_protection_is_demanded() {
        let (port, heard) = server("250 ok").await;
        let mailer = Mailer::new(&SmtpSettings {
            tls: Tls::StartTls,
            user: Some("user".to_owned()),
            password: Some("password".into()),
            ..settings(port)
        });
        let error = mailer.expect("a mailer").send(&mail("a@example.com", "x")).await;
        assert!(matches!(error, Err(Error::Transient { .. })), "{error:?}");
        let heard = heard.lock().expect("a log").clone();
        assert!(
            heard.iter().all(|line| line.starts_with("EHLO") || line == "QUIT"),
            "{heard:?}"
        );
    }

    #[tokio::test]
    async fn addresses_that_are_none_are_permanent_errors() {
        let mailer = Mailer::new(&settings(1)).expect("a mailer");
        for wrong in [
            "",
            "nobody",
            "a@example.com\r\nBcc: b@example.com",
            "a@example.com, b@example.com",
            "\u{0}@x",
        ] {
            let error = mailer.send(&mail(wrong, "x")).await.expect_err("no address");
            assert!(matches!(error, Error::Permanent { .. }), "{wrong}: {error}");
        }
        let wrong = SmtpSettings {
            from: "nobody".to_owned(),
            ..settings(1)
        };
        assert!(Mailer::new(&wrong).is_err());
    }
}
