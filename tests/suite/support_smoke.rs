//! The test servers themselves: if one of these fails, look at the machine before you look at the program.

use lettre::message::{Attachment, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::support::mlflow::Mlflow;
use crate::support::postgres::Postgres;
use crate::support::smtp::{Rules, Smtp};

#[tokio::test]
async fn every_test_has_a_database_of_its_own() {
    let postgres = Postgres::shared().await;
    let (first, second) = tokio::join!(postgres.database("smoke"), postgres.database("smoke"));
    assert_ne!(first, second);
    postgres.sql(&first, "create table kept (n int, word text); insert into kept values (1, 'one'), (2, null);").await;
    assert_eq!(postgres.sql(&first, "select * from kept order by n").await, "1|one\n2|");
    assert_eq!(postgres.sql(&second, "select to_regclass('kept') is null").await, "t");
    assert_eq!(postgres.sql(&first, "show fsync").await, "off");
}

#[tokio::test]
async fn a_role_needs_its_password() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("password").await;
    postgres.sql(&url, "create role smoke_guard login password 'right'").await;
    let right = url.replace("postgres@", "smoke_guard:right@");
    assert_eq!(postgres.sql(&right, "select current_user").await, "smoke_guard");
    let wrong = url.replace("postgres@", "smoke_guard:wrong@");
    let refused = tokio::spawn(async move { postgres.sql(&wrong, "select 1").await }).await;
    assert!(refused.is_err(), "a wrong password was accepted");
}

#[tokio::test]
async fn what_was_committed_survives_a_crash() {
    let postgres = Postgres::start(&[("fsync", "on"), ("synchronous_commit", "on")]).await;
    let url = postgres.database("crash").await;
    postgres.sql(&url, "create table kept (n int); insert into kept values (7)").await;
    postgres.crash().await;
    let address = url.trim_start_matches("postgres://postgres@").trim_end_matches("/crash_0");
    assert!(std::net::TcpStream::connect(address).is_err(), "the server still listens");
    postgres.start_again().await;
    assert_eq!(postgres.sql(&url, "select n from kept").await, "7");
}

#[tokio::test]
async fn the_registry_keeps_tags_and_aliases() {
    let mlflow = Mlflow::shared().await;
    mlflow.create_model("support_smoke").await;
    assert_eq!(mlflow.create_version("support_smoke").await, "1");
    assert_eq!(mlflow.create_version("support_smoke").await, "2");
    assert!(mlflow.aliases("support_smoke").await.is_empty());
    assert!(mlflow.version_tags("support_smoke", "2").await.is_empty());
    mlflow.set_version_tag("support_smoke", "2", "stage", "candidate").await;
    mlflow.set_alias("support_smoke", "challenger", "2").await;
    assert_eq!(mlflow.version_tags("support_smoke", "2").await["stage"], "candidate");
    assert_eq!(mlflow.aliases("support_smoke").await["challenger"], "2");
    assert!(mlflow.url().starts_with("http://127.0.0.1:"));
}

fn message() -> Message {
    let picture = Attachment::new_inline("bars".into()).body(vec![0x89, b'P'], "image/png".parse().expect("a type"));
    let page = MultiPart::related().singlepart(SinglePart::html("<p>½</p>".to_owned())).singlepart(picture);
    let table = Attachment::new("night.csv".into()).body("a,b".to_owned(), "text/csv".parse().expect("a type"));
    let body = MultiPart::alternative().singlepart(SinglePart::plain("½".to_owned())).multipart(page);
    Message::builder()
        .from("guard@example.com".parse().expect("an address"))
        .to("team@example.com".parse().expect("an address"))
        .subject("Zurückgerollt")
        .multipart(MultiPart::mixed().multipart(body).singlepart(table))
        .expect("a complete message")
}

fn plain(smtp: &Smtp) -> AsyncSmtpTransport<Tokio1Executor> {
    AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("localhost").port(smtp.port()).build()
}

#[tokio::test]
async fn a_mail_arrives_encrypted_and_is_read_by_another_program() {
    let smtp = Smtp::start(Rules { starttls: true, login: Some(("guard", "secret")), ..Rules::default() }).await;
    assert!(plain(&smtp).send(message()).await.is_err(), "mail was taken in the clear");
    let pem = std::fs::read(smtp.ca()).expect("the authority's certificate");
    let trusted = Certificate::from_pem(&pem).expect("a certificate");
    let tls = TlsParameters::builder("localhost".into()).add_root_certificate(trusted).build().expect("parameters");
    let transport = |password: &str| {
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("localhost")
            .port(smtp.port())
            .tls(Tls::Required(tls.clone()))
            .credentials(Credentials::new("guard".into(), password.into()))
            .build()
    };
    assert!(transport("wrong").send(message()).await.is_err(), "a wrong password was accepted");
    transport("secret").send(message()).await.expect("the mail is accepted");

    let mails = smtp.mails();
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("guard@example.com", &["team@example.com".to_owned()][..]));
    assert!(mail.tls);
    assert_eq!(mail.user.as_deref(), Some("guard"));
    assert_eq!(mail.header("subject"), Some("Zurückgerollt"));
    assert!(mail.raw.contains("Subject: =?utf-8?"), "{}", mail.raw);
    let nesting = ["mixed", "alternative", "plain", "related", "html", "png", "csv"];
    assert!(mail.structure.iter().zip(nesting).all(|(found, end)| found.ends_with(end)), "{:?}", mail.structure);
    let text = |kind| mail.part(kind).and_then(|part| part.text.as_deref()).map(str::trim_end);
    assert_eq!((text("text/plain"), text("text/html")), (Some("½"), Some("<p>½</p>")));
    let picture = mail.part("image/png").expect("the picture");
    assert_eq!((picture.content_id.as_deref(), picture.hex.as_str()), (Some("<bars>"), "8950"));
    assert_eq!(mail.part("text/csv").and_then(|part| part.file_name.as_deref()), Some("night.csv"));
}

#[tokio::test]
async fn a_mail_server_may_be_busy_or_vanish_or_refuse() {
    let busy = Smtp::start(Rules { busy: 1, ..Rules::default() }).await;
    assert!(plain(&busy).send(message()).await.is_err_and(|fault| fault.is_transient()));
    assert!(busy.mails().is_empty());
    assert!(plain(&busy).send(message()).await.is_ok());

    let vanishing = Smtp::start(Rules { vanish: 1, ..Rules::default() }).await;
    assert!(plain(&vanishing).send(message()).await.is_err(), "an answer came");
    assert_eq!(vanishing.mails().len(), 1, "what was not answered was kept all the same");

    let refusing = Smtp::start(Rules { refuse: &["team@example.com"], ..Rules::default() }).await;
    assert!(plain(&refusing).send(message()).await.is_err_and(|fault| fault.is_permanent()));
    assert!(refusing.mails().is_empty());
}
