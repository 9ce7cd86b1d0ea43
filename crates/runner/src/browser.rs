//! A real browser without a window: Chromium, when it is installed.
//!
//! Pages are steered by scripts alone. Events of the browser's protocol differ from release to release,
//! and the crate that speaks it knows those of one; what a page complains of is therefore taken down by
//! the page itself.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chromiumoxide::{
    Browser as Chromium, BrowserConfig, Page, cdp::browser_protocol::page::CaptureScreenshotFormat,
    handler::viewport::Viewport, page::ScreenshotParams,
};
use futures::StreamExt as _;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::check::{Broken, chain};

/// What the browser is called in distributions.
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
];

/// How to get one.
pub(crate) const REMEDY: &str =
    "no Chromium in PATH or CHROME; on Debian `apt-get install chromium` installs it";

/// The size of the window: tall, for a list under its filters.
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 1500;

/// Takes down failed requests, errors of scripts and what is written to the console as an error.
const TAKE_DOWN: &str = r"
(() => {
  const complaints = window.__complaints = [];
  const complain = text => complaints.push(String(text).slice(0, 300));
  const fetch = window.fetch;
  window.fetch = async (...call) => {
    const url = call[0] && call[0].url || call[0];
    try {
      const answer = await fetch(...call);
      if (answer.status >= 400) complain(`request ${url} answered ${answer.status}`);
      return answer;
    } catch (error) {
      if (error.name !== 'AbortError') complain(`request ${url} failed: ${error}`);
      throw error;
    }
  };
  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    this.addEventListener('loadend', () => {
      if (this.status >= 400) complain(`request ${url} answered ${this.status}`);
    });
    this.addEventListener('error', () => complain(`request ${url} failed`));
    return open.call(this, method, url, ...rest);
  };
  window.addEventListener('error', event => complain(event.message || `${event.target && event.target.src} does not load`), true);
  window.addEventListener('unhandledrejection', event => complain(`unhandled: ${event.reason}`));
  const error = console.error;
  console.error = (...words) => { complain(words.join(' ')); error(...words); };
})();
";

/// A browser and its one page.
pub(crate) struct Browser {
    chromium: Chromium,
    events: JoinHandle<()>,
    page: Page,
    _profile: TempDir,
}

/// What a page shows, and what it complained of so far.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Seen {
    pub(crate) url: String,
    pub(crate) text: String,
    /// Whether there is a field for a password.
    pub(crate) login: bool,
    pub(crate) complaints: Vec<String>,
}

/// The browser's program: `CHROME`, or the first of its names in `PATH`.
#[must_use]
pub fn browser_program() -> Option<PathBuf> {
    let named = std::env::var_os("CHROME")
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = NAMES.iter().flat_map(|name| {
        std::env::split_paths(&path)
            .map(|directory| directory.join(name))
            .collect::<Vec<_>>()
    });
    named.or_else(|| found.find(|candidate| candidate.is_file()))
}

impl Browser {
    /// Starts the browser, once more if the first start fails; `host` with its port leads to `address`,
    /// so that pages find an API under the name that the values give it.
    pub(crate) async fn start(program: &Path, host: &str, address: SocketAddr) -> Result<Self, Broken> {
        match Self::try_start(program, host, address).await {
            Ok(browser) => Ok(browser),
            Err(_) => Self::try_start(program, host, address).await,
        }
    }

    async fn try_start(program: &Path, host: &str, address: SocketAddr) -> Result<Self, Broken> {
        let failed = |reason: String| Broken::new(format!("{} does not start: {reason}", program.display()));
        let profile = tempfile::Builder::new().prefix("prefect-e2e-browser-").tempdir();
        let profile = profile.map_err(|error| failed(error.to_string()))?;
        let config = BrowserConfig::builder()
            .chrome_executable(program)
            .user_data_dir(profile.path())
            // the pages are the deployment's own, and containers forbid the browser's own sandbox
            .no_sandbox()
            .window_size(WIDTH, HEIGHT)
            // lists draw what is in view alone
            .viewport(Viewport {
                width: WIDTH,
                height: HEIGHT,
                ..Viewport::default()
            })
            .launch_timeout(Duration::from_secs(60))
            .request_timeout(Duration::from_secs(60))
            .arg(("host-resolver-rules", format!("MAP {host} {address}").as_str()))
            .args([
                "no-proxy-server",
                "disable-dev-shm-usage",
                "disable-gpu",
                "mute-audio",
            ])
            .build()
            .map_err(failed)?;
        let (chromium, mut handler) = Chromium::launch(config)
            .await
            .map_err(|error| failed(chain(&error)))?;
        let events = tokio::spawn(async move { while handler.next().await.is_some() {} });
        let page = chromium
            .new_page("about:blank")
            .await
            .map_err(|error| failed(chain(&error)))?;
        page.evaluate_on_new_document(TAKE_DOWN)
            .await
            .map_err(|error| failed(chain(&error)))?;
        Ok(Self {
            chromium,
            events,
            page,
            _profile: profile,
        })
    }

    /// Goes to `url`; what it shows comes later.
    pub(crate) async fn go(&self, url: &str) -> Result<(), Broken> {
        let target = serde_json::Value::from(url);
        self.run::<bool>(&format!(
            "(() => {{ setTimeout(() => {{ location.href = {target} }}, 0); return true }})()"
        ))
        .await
        .map(drop)
    }

    /// What the page shows now.
    pub(crate) async fn look(&self) -> Result<Seen, Broken> {
        let script = "({url: location.href, text: document.body ? document.body.innerText : '', \
                      login: !!document.querySelector('input[type=password]'), \
                      complaints: window.__complaints || []})";
        self.run(script).await
    }

    /// Waits until what the page shows satisfies `wanted`; gives what it showed last, either way.
    pub(crate) async fn wait(
        &self,
        patience: Duration,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Result<Result<Seen, Seen>, Broken> {
        let begin = Instant::now();
        loop {
            // between two pages there is nothing to look at
            let seen = self.look().await.unwrap_or_default();
            if wanted(&seen) {
                return Ok(Ok(seen));
            }
            if begin.elapsed() > patience {
                return Ok(Err(seen));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Types `text` into the field for a password and sends the form. What the page complained of before,
    /// that it is not let in, is forgotten.
    pub(crate) async fn log_in(&self, text: &str) -> Result<(), Broken> {
        let text = serde_json::Value::from(text);
        let script = format!(
            "(() => {{
              window.__complaints.length = 0;
              const field = document.querySelector('input[type=password]');
              const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
              set.call(field, {text});
              field.dispatchEvent(new Event('input', {{bubbles: true}}));
              field.dispatchEvent(new Event('change', {{bubbles: true}}));
              const form = field.closest('form');
              const button = document.querySelector('button[type=submit]') || document.querySelector('form button');
              setTimeout(() => button ? button.click() : form.requestSubmit(), 100);
              return true;
            }})()"
        );
        self.run::<bool>(&script).await.map(drop)
    }

    /// Writes a picture of the page.
    pub(crate) async fn screenshot(&self, path: &Path) -> Result<(), Broken> {
        let parameters = ScreenshotParams::builder()
            .format(CaptureScreenshotFormat::Png)
            .build();
        let taken = self.page.save_screenshot(parameters, path).await;
        taken
            .map(drop)
            .map_err(|error| Broken::new(format!("no screenshot: {}", chain(&error))))
    }

    /// Ends the browser.
    pub(crate) async fn close(mut self) {
        // a browser that is gone already is closed, too
        let _ = self.chromium.close().await;
        let _ = self.chromium.wait().await;
        self.events.abort();
    }

    async fn run<T: serde::de::DeserializeOwned>(&self, script: &str) -> Result<T, Broken> {
        let failed = |reason: String| Broken::new(format!("the browser does not answer: {reason}"));
        let result = self
            .page
            .evaluate(script)
            .await
            .map_err(|error| failed(chain(&error)))?;
        result.into_value().map_err(|error| failed(error.to_string()))
    }
}
