use super::*;
use std::time::Duration;

struct Desk {
    names: Names,
    tokens: Tokens,
    now: Instant,
}

impl Desk {
    fn new(limits: Limits) -> Self {
        Self { names: Names::new(limits, Times::default()), tokens: Tokens::new(), now: Instant::now() }
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.names.expire(self.now);
    }

    fn reader(&mut self, client: Client, id: u64, name: &str, writers: Option<u32>) {
        self.register(client, id, Role::Reader, name, writers, &[":7001", "host.example:7001"]).unwrap();
    }

    fn writer(&mut self, client: Client, id: u64, name: &str) {
        self.register(client, id, Role::Writer, name, None, &[]).unwrap();
    }

    fn register(
        &mut self,
        client: Client,
        id: u64,
        role: Role,
        name: &str,
        writers: Option<u32>,
        addresses: &[&str],
    ) -> Result<()> {
        let addresses = addresses.iter().map(|text| Address::new(text).unwrap()).collect();
        let origin = origin(&format!("10.0.0.{client}:999"), "10.0.0.99");
        let wanted =
            Register { id, role, name: Name::new(name).unwrap(), addresses, writers, takeover: false };
        self.names.register(self.now, client, origin, wanted)
    }

    /// Takes what was told, as "client:id what".
    fn told(&mut self) -> Vec<String> {
        self.raw()
            .into_iter()
            .map(|(client, message)| match message {
                Message::Match(Match { id, .. }) => format!("{client}:{id} match"),
                Message::Relay { id, .. } => format!("{client}:{id} relay"),
                Message::Refused { id, reason } => format!("{client}:{id} {}", reason.code),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn raw(&mut self) -> Vec<(Client, Message)> {
        std::iter::from_fn(|| self.names.notice()).collect()
    }

    /// Takes one introduction, and returns its token.
    fn token(&mut self) -> Token {
        match &self.raw()[..] {
            [(_, Message::Match(one)), (_, Message::Match(two))] if one.token == two.token => one.token,
            other => panic!("{other:?}"),
        }
    }

    fn unreachable(&mut self, client: Client, id: u64, token: Token) -> Result<()> {
        self.names.relay(self.now, (client, id), token, &mut self.tokens, 0)
    }
}

fn desk() -> Desk {
    Desk::new(Limits::default())
}

/// A desk where reader 1 and writer 2 of `pipe` were introduced, with their token.
fn introduced() -> (Desk, Token) {
    let mut desk = desk();
    desk.reader(1, 0, "pipe", None);
    desk.writer(2, 0, "pipe");
    let token = desk.token();
    (desk, token)
}

#[test]
fn the_writer_is_told_where_the_reader_is_as_the_broker_sees_it() {
    let mut desk = desk();
    desk.writer(1, 5, "pipe");
    assert_eq!(desk.told(), [""; 0]);
    desk.reader(2, 6, "pipe", None);
    match &desk.raw()[..] {
        [(2, Message::Match(reader)), (1, Message::Match(writer))] => {
            assert_eq!((reader.id, writer.id), (6, 5));
            assert_eq!(reader.token, writer.token);
            assert!(reader.addresses.is_empty());
            let addresses: Vec<_> = writer.addresses.iter().map(Address::as_str).collect();
            assert_eq!(addresses, ["10.0.0.2:7001", "host.example:7001"]);
        }
        other => panic!("{other:?}"),
    }
}

fn origin(peer: &str, local: &str) -> Origin {
    Origin { peer: peer.parse().unwrap(), local: local.parse().unwrap() }
}

#[test]
fn a_host_that_is_left_out_is_filled_in_as_the_writer_can_reach_it() {
    let complete = |text: &str, reader: &str, writer: &str| {
        let (reader, writer) = (origin(reader, "127.0.0.1"), origin(writer, "10.9.9.9"));
        complete(&Address::new(text).unwrap(), reader, writer).as_str().to_owned()
    };
    assert_eq!(complete("host:80", "10.1.1.1:9", "10.2.2.2:9"), "host:80");
    assert_eq!(complete(":80", "10.1.1.1:9", "10.2.2.2:9"), "10.1.1.1:80");
    assert_eq!(complete(":80", "[2001:db8::1]:9", "10.2.2.2:9"), "[2001:db8::1]:80");
    assert_eq!(complete(":80", "[::ffff:10.1.1.1]:9", "10.2.2.2:9"), "10.1.1.1:80");
    assert_eq!(complete(":80", "127.0.0.1:9", "127.0.0.1:10"), "127.0.0.1:80");
    assert_eq!(complete(":80", "127.0.0.1:9", "10.2.2.2:9"), "10.9.9.9:80");
}

#[test]
fn waiting_writers_are_introduced_in_order_and_those_too_many_refused() {
    let mut desk = desk();
    for client in [3, 1, 2] {
        desk.writer(client, 0, "pipe");
    }
    desk.reader(9, 0, "pipe", Some(2));
    assert_eq!(desk.told(), ["9:0 match", "3:0 match", "9:0 match", "1:0 match", "2:0 16"]);
    desk.writer(4, 0, "pipe");
    assert_eq!(desk.told(), ["4:0 16"]);
}

#[test]
fn zero_writers_mean_any_number() {
    let mut desk = desk();
    desk.reader(9, 0, "pipe", Some(0));
    for client in 1..=5 {
        desk.writer(client, 0, "pipe");
        assert_eq!(desk.told(), ["9:0 match".to_owned(), format!("{client}:0 match")]);
    }
}

#[test]
fn a_second_reader_is_refused_until_the_first_withdraws_or_leaves() {
    let mut desk = desk();
    desk.reader(1, 0, "pipe", None);
    desk.reader(2, 0, "pipe", None);
    assert_eq!(desk.told(), ["2:0 16"]);
    desk.names.withdraw((1, 0));
    desk.reader(2, 1, "pipe", None);
    assert_eq!(desk.told(), [""; 0]);
    desk.names.leave(2);
    desk.reader(3, 0, "pipe", None);
    desk.writer(4, 0, "pipe");
    assert_eq!(desk.told(), ["3:0 match", "4:0 match"]);
}

#[test]
fn a_writer_that_withdraws_frees_no_place_of_a_living_pipe() {
    let (mut desk, _) = introduced();
    desk.names.withdraw((2, 0));
    desk.writer(3, 0, "pipe");
    assert_eq!(desk.told(), ["3:0 16"]);
}

#[test]
fn a_writer_that_withdraws_while_it_waits_meets_nobody() {
    let mut desk = desk();
    desk.writer(2, 0, "pipe");
    desk.names.withdraw((2, 0));
    desk.reader(1, 0, "pipe", None);
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn a_discard_is_remembered_for_one_reader_and_sixty_seconds() {
    let mut desk = desk();
    desk.writer(1, 0, "pipe");
    desk.names.discard(desk.now, (1, 0)).unwrap();
    desk.names.leave(1);
    desk.later(Duration::from_secs(59));
    desk.reader(2, 0, "pipe", None);
    assert_eq!(desk.told(), ["2:0 104"]);
    desk.reader(2, 1, "pipe", None);
    assert_eq!(desk.told(), [""; 0]);
    desk.names.withdraw((2, 1));

    desk.writer(3, 0, "pipe");
    desk.names.discard(desk.now, (3, 0)).unwrap();
    desk.later(Duration::from_secs(61));
    desk.reader(2, 2, "pipe", None);
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn a_discard_that_crosses_its_introduction_refuses_that_reader() {
    let mut desk = desk();
    desk.writer(1, 0, "pipe");
    desk.reader(2, 0, "pipe", None);
    desk.told();
    desk.names.discard(desk.now, (1, 0)).unwrap();
    assert_eq!(desk.told(), ["2:0 104"]);
    desk.reader(3, 0, "pipe", None);
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn a_discard_of_a_reader_is_a_broken_rule_and_of_nothing_is_none() {
    let mut desk = desk();
    desk.reader(1, 0, "pipe", None);
    assert!(matches!(desk.names.discard(desk.now, (1, 0)), Err(Error::Protocol(_))));
    desk.names.discard(desk.now, (1, 9)).unwrap();
    desk.names.withdraw((1, 9));
}

#[test]
fn an_id_in_use_is_a_broken_rule() {
    let mut desk = desk();
    desk.reader(1, 0, "pipe", None);
    assert!(matches!(desk.register(1, 0, Role::Writer, "other", None, &[]), Err(Error::Protocol(_))));
    desk.writer(2, 0, "other");
}

#[test]
fn unreachable_gives_both_a_new_token_that_two_connections_use_up() {
    let (mut desk, old) = introduced();
    desk.unreachable(2, 0, old).unwrap();
    let token = match &desk.raw()[..] {
        [(1, Message::Relay { id: 0, token: one }), (2, Message::Relay { id: 0, token: two })]
            if one == two =>
        {
            *one
        }
        other => panic!("{other:?}"),
    };
    assert_ne!(token, old);
    use super::super::tokens::Redeemed;
    assert_eq!(desk.tokens.redeem(old, 7), Redeemed::Unknown);
    assert_eq!(desk.tokens.redeem(token, 7), Redeemed::First);
    desk.tokens.forget(token, 7);
    assert_eq!(desk.tokens.redeem(token, 8), Redeemed::First);
    assert_eq!(desk.tokens.redeem(token, 9), Redeemed::Second(8, Name::new("pipe").unwrap()));
    assert_eq!(desk.tokens.redeem(token, 10), Redeemed::Unknown);
    assert!(matches!(desk.unreachable(2, 0, old), Err(Error::Protocol(_))));
}

#[test]
fn unreachable_with_another_pipes_token_or_of_a_reader_is_a_broken_rule() {
    let (mut desk, token) = introduced();
    desk.writer(2, 1, "other");
    for (client, id) in [(2, 1), (1, 0)] {
        assert!(matches!(desk.unreachable(client, id, token), Err(Error::Protocol(_))));
    }
    assert!(matches!(desk.unreachable(2, 0, Token([0; 16])), Err(Error::Protocol(_))));
    desk.unreachable(2, 99, token).unwrap();
}

#[test]
fn an_expired_token_brings_no_relay() {
    let (mut desk, token) = introduced();
    desk.later(Duration::from_secs(31));
    desk.unreachable(2, 0, token).unwrap();
    assert_eq!(desk.told(), ["2:0 110"]);
    assert_eq!(desk.tokens.len(), 0);
}

#[test]
fn a_writer_whose_reader_went_waits_for_the_next() {
    let (mut desk, token) = introduced();
    desk.names.leave(1);
    // The same place again, and another registration: that is not the reader it was told of.
    desk.reader(1, 0, "other", None);
    desk.unreachable(2, 0, token).unwrap();
    assert_eq!(desk.told(), [""; 0]);
    desk.reader(3, 4, "pipe", None);
    assert_eq!(desk.told(), ["3:4 match", "2:0 match"]);
}

#[test]
fn each_limit_is_named_in_the_refusal() {
    let limits = Limits { registrations: 3, registrations_per_connection: 2, relays: 1, ..Limits::default() };
    let mut desk = Desk::new(limits);
    let refused = |desk: &mut Desk| match desk.raw().pop() {
        Some((_, Message::Refused { reason, .. })) => (reason.code, reason.text),
        other => panic!("{other:?}"),
    };
    for id in 0..3 {
        desk.writer(1, id, &format!("pipe {id}"));
    }
    assert_eq!(
        refused(&mut desk),
        (code::EBUSY, "over the broker's limit of 2 registrations of one connection".into())
    );
    // A discard goes on to count, or names could be given up without end.
    desk.names.discard(desk.now, (1, 0)).unwrap();
    desk.writer(1, 3, "pipe 3");
    assert_eq!(refused(&mut desk).0, code::EBUSY);
    desk.writer(2, 0, "a");
    desk.writer(2, 1, "b");
    assert_eq!(refused(&mut desk), (code::EBUSY, "over the broker's limit of 3 registrations".into()));
    desk.later(Duration::from_secs(60));
    desk.writer(2, 1, "b");
    assert_eq!(desk.told(), [""; 0]);

    desk.names.leave(1);
    desk.reader(3, 0, "a", Some(2));
    let token = desk.token();
    desk.names.relay(desk.now, (2, 0), token, &mut desk.tokens, 1).unwrap();
    assert_eq!(refused(&mut desk), (code::EBUSY, "over the broker's limit of 1 relayed pipes".into()));
}

#[test]
fn nothing_is_left_when_everybody_has_gone() {
    let mut desk = desk();
    for client in 1..=20 {
        desk.reader(client, 1, &format!("pipe {client}"), Some(2));
        desk.writer(client, 2, &format!("pipe {}", client * 2));
        desk.writer(client, 3, "never read");
    }
    (1..=20).for_each(|client| desk.names.leave(client));
    let Names { registrations, pipes, discards, held, .. } = &desk.names;
    assert_eq!((registrations.len(), pipes.len(), discards.len(), held.len()), (0, 0, 0, 0));
}

/// Found: who waited for an end whose session had failed before it opened the pipe waited for its own Timeout.
#[test]
fn who_waits_for_an_abandoned_end_is_refused_now_or_when_it_comes() {
    let abandon = |desk: &mut Desk, role| {
        desk.names.abandon(Name::new("a").unwrap(), role, Reason::new(code::ECONNRESET, "it ended"));
    };
    for gone in [Role::Writer, Role::Reader] {
        for waits_before in [true, false] {
            let mut desk = desk();
            if !waits_before {
                abandon(&mut desk, gone);
            }
            match gone {
                Role::Writer => desk.reader(1, 1, "a", None),
                Role::Reader => desk.writer(1, 1, "a"),
            }
            desk.writer(1, 2, "b");
            if waits_before {
                assert!(desk.told().is_empty());
                abandon(&mut desk, gone);
            }
            assert_eq!(desk.told(), ["1:1 104"]);
        }
    }
}

/// A reader that was introduced and has ended since cannot be met, and its writer says so.
#[test]
fn a_writer_that_was_introduced_to_an_abandoned_reader_is_refused_when_it_comes_back() {
    let (mut desk, token) = introduced();
    desk.names.abandon(Name::new("pipe").unwrap(), Role::Reader, Reason::new(code::EPIPE, "it ended"));
    assert!(desk.told().is_empty(), "they may have met");
    desk.names.withdraw((1, 0));
    desk.unreachable(2, 0, token).unwrap();
    assert_eq!(desk.told(), ["2:0 32"]);
}
