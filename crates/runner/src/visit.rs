//! A deployment opened for people: its server and UI at ports of this machine, and what to type.

use std::net::Ipv4Addr;

use prefect_e2e_scenarios::Component;
use tokio::sync::{Mutex, oneshot};

use crate::{
    check::Broken, deployment::Deployment, event::Happening, port_forward::PortForward, prove::Proving,
    release::Made,
};

/// One pause at a time: there is one Enter key.
static PAUSE: Mutex<()> = Mutex::const_new(());

/// Open while this value lives.
struct Opened {
    _forward: PortForward,
    lines: Vec<String>,
}

impl Opened {
    async fn new(deployment: &Deployment, kubectl: &str) -> Result<Self, Broken> {
        let selector = deployment.selector(Component::Server)?;
        let api = deployment.text("/server/uiConfig/prefectUiApiUrl");
        let wanted = port_of_this_machine(api);
        let port = deployment.container_port();
        let forward = match wanted {
            Some(wanted) => PortForward::open_at(&deployment.place, &selector, port, wanted).await,
            None => PortForward::open(&deployment.place, &selector, port).await,
        };
        // somebody else may have the port
        let forward = match forward {
            Ok(forward) => forward,
            Err(_) => PortForward::open(&deployment.place, &selector, port).await?,
        };
        let address = forward.address();
        let mut lines = vec![
            format!("UI http://{address}"),
            format!("API http://{address}/api"),
            format!(
                "kubectl {kubectl} --namespace {} get all",
                deployment.place.namespace
            ),
        ];
        if wanted != Some(address.port()) {
            lines.push(format!(
                "the UI asks for its API at {api}, by server.uiConfig.prefectUiApiUrl, and not at this port"
            ));
        }
        if deployment.credentials.is_some() {
            lines.push("both ask for the credentials of the scenario".to_owned());
        }
        Ok(Self {
            _forward: forward,
            lines,
        })
    }
}

/// The port at which a URL of this machine leads to the API.
fn port_of_this_machine(url: &str) -> Option<u16> {
    let rest = url.strip_prefix("http://")?;
    let (host, port) = rest.split('/').next()?.split_once(':')?;
    let is_here = host == "localhost" || host == Ipv4Addr::LOCALHOST.to_string();
    port.parse().ok().filter(|_| is_here)
}

impl Proving {
    /// Opens the deployment until the run is asked to stop.
    pub(crate) async fn visit(&self, deployment: &Deployment) -> Result<(), Broken> {
        let opened = Opened::new(deployment, &self.target.kubectl()).await?;
        self.tell(&opened, "Ctrl-C removes it");
        self.stop.cancelled().await;
        Ok(())
    }

    /// Opens what has failed until somebody presses Enter.
    pub(crate) async fn pause(&self, made: &Made) {
        let Some(deployment) = &made.deployment else {
            return;
        };
        let _alone = PAUSE.lock().await;
        let opened = match Opened::new(deployment, &self.target.kubectl()).await {
            Ok(opened) => opened,
            Err(broken) => return self.note(format!("cannot be opened: {}", broken.cause())),
        };
        self.tell(&opened, "Enter goes on");
        tokio::select! {
            () = enter() => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn tell(&self, opened: &Opened, end: &str) {
        for line in opened.lines.iter().map(String::as_str).chain([end]) {
            self.note(line.to_owned());
        }
    }

    pub(crate) fn note(&self, message: String) {
        self.steps.publish(Happening::Note { message });
    }
}

/// Returns when a line was typed, or standard input has ended. The thread that reads does not keep the
/// program from ending.
async fn enter() {
    let (sender, typed) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        // the run may have ended meanwhile
        let _ = sender.send(());
    });
    let _ = typed.await;
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://localhost:4200/api", Some(4200))]
    #[case("http://127.0.0.1:80/api", Some(80))]
    #[case("http://prefect.example.com:4200/api", None)]
    #[case("https://localhost:4200/api", None)]
    #[case("http://localhost/api", None)]
    #[case("", None)]
    fn the_port_of_the_ui_is_taken_where_it_is_this_machines(#[case] url: &str, #[case] port: Option<u16>) {
        assert_eq!(port_of_this_machine(url), port);
    }
}
