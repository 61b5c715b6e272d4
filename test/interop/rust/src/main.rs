//! `peer serve SOCKET` serves kata.edge.interop.Peer, `peer check NAME SOCKET` checks a server of it, `peer checks` names the checks.
mod checks;
mod service;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["serve", socket] => service::serve(socket),
        ["checks"] => {
            checks::ALL.iter().for_each(|(name, _)| println!("{name}"));
            Ok(())
        }
        ["check", name, socket] => checks::run(name, socket),
        _ => Err("usage: peer serve SOCKET | checks | check NAME SOCKET".to_string()),
    };
    if let Err(error) = result {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
