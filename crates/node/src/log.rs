//! The logs of containers: kept as lines with their time, read back in parts.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use prefect_e2e_api_server::{LogOptions, LogStream};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::{broadcast, watch},
};

/// A log that grows beyond this is begun anew; the part before is kept beside it.
const ROTATE_AT: u64 = 10 << 20;

/// A line that is longer is kept in parts.
const LONGEST_LINE: usize = 1 << 20;

/// The tag of a line, and that of a part of one.
const WHOLE: &str = "F";
const PART: &str = "P";

/// The log of one run of a container.
pub(crate) struct ContainerLog {
    path: PathBuf,
    writer: Mutex<Writer>,
    /// Counts the lines written; closed when the container has ended.
    lines: watch::Sender<u64>,
    pieces: broadcast::Sender<(&'static str, Bytes)>,
}

struct Writer {
    file: File,
    length: u64,
}

impl ContainerLog {
    /// Begins a log at `path`.
    pub(crate) fn create(path: PathBuf) -> io::Result<Arc<Self>> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let writer = Mutex::new(Writer { file, length: 0 });
        Ok(Arc::new(Self {
            path,
            writer,
            lines: watch::Sender::new(0),
            pieces: broadcast::Sender::new(64),
        }))
    }

    /// Keeps what `stream` gives, line by line, until it ends.
    pub(crate) async fn keep(self: Arc<Self>, mut stream: impl AsyncRead + Unpin, name: &'static str) {
        let mut piece = vec![0; 32 << 10];
        let mut rest: Vec<u8> = Vec::new();
        // the end of a terminal is an error (EIO), and an end all the same
        while let Ok(length @ 1..) = stream.read(&mut piece).await {
            // nobody need be attached
            let _ = self.pieces.send((name, Bytes::copy_from_slice(&piece[..length])));
            rest.extend_from_slice(&piece[..length]);
            let mut lines: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').collect();
            let unfinished = lines.pop().map_or(0, <[u8]>::len);
            lines
                .into_iter()
                .for_each(|line| self.write_or_warn(line, name, WHOLE));
            rest.drain(..rest.len() - unfinished);
            if rest.len() > LONGEST_LINE {
                self.write_or_warn(&rest, name, PART);
                rest.clear();
            }
        }
        if !rest.is_empty() {
            self.write_or_warn(&rest, name, PART);
        }
    }

    /// What the container writes from now on, as it comes: the name of the stream and a piece of it.
    pub(crate) fn pieces(&self) -> broadcast::Receiver<(&'static str, Bytes)> {
        self.pieces.subscribe()
    }

    fn write_or_warn(&self, line: &[u8], name: &str, tag: &str) {
        if let Err(error) = self.write(line, name, tag) {
            tracing::warn!(%error, "a line of a log is lost");
        }
    }

    fn write(&self, line: &[u8], name: &str, tag: &str) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let head = format!(
            "{} {name} {tag} ",
            Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%9fZ")
        );
        let mut whole = head.into_bytes();
        whole.extend_from_slice(line);
        whole.push(b'\n');
        if writer.length > ROTATE_AT {
            fs::rename(&self.path, self.path.with_extension("old"))?;
            writer.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            writer.length = 0;
        }
        writer.file.write_all(&whole)?;
        writer.length += whole.len() as u64;
        drop(writer);
        self.lines.send_modify(|count| *count += 1);
        Ok(())
    }

    /// The last lines, as a termination message shows them.
    pub(crate) fn tail(&self, lines: usize) -> String {
        let read = || -> io::Result<Vec<Line>> {
            Reader {
                file: File::open(&self.path)?,
                rest: Vec::new(),
            }
            .new_lines()
        };
        let all = read().unwrap_or_default();
        let last = &all[all.len().saturating_sub(lines)..];
        last.iter().map(Line::whole_text).collect()
    }

    /// The part of the log that `options` asks for. Following ends when `ended` becomes true.
    pub(crate) fn read(
        self: &Arc<Self>,
        options: &LogOptions,
        ended: watch::Receiver<bool>,
    ) -> io::Result<LogStream> {
        let news = self.lines.subscribe();
        let mut reader = Reader {
            file: File::open(&self.path)?,
            rest: Vec::new(),
        };
        let mut lines = reader.new_lines()?;
        if let Some(oldest) = oldest(options) {
            lines.retain(|line| line.time.parse::<Timestamp>().is_ok_and(|time| time >= oldest));
        }
        if let Some(tail) = options.tail_lines {
            lines.drain(
                ..lines
                    .len()
                    .saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX)),
            );
        }
        let mut first = shown(&lines, options.timestamps);
        if let Some(limit) = options.limit_bytes {
            first.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let first = stream::once(async move { Ok(Bytes::from(first)) });
        if !options.follow {
            return Ok(first.boxed());
        }
        let follower = Follower {
            log: self.clone(),
            reader,
            news,
            ended,
            timestamps: options.timestamps,
        };
        let rest = stream::unfold(follower, |mut follower| async move {
            Some((Ok(follower.next().await?), follower))
        });
        Ok(first.chain(rest).boxed())
    }
}

/// The time from which on lines are asked for.
fn oldest(options: &LogOptions) -> Option<Timestamp> {
    let since = options.since_seconds.map(|seconds| {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        Timestamp::now()
            .saturating_sub(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MIN)
    });
    options.since_time.or(since)
}

/// Reads on where a log was left.
struct Follower {
    log: Arc<ContainerLog>,
    reader: Reader,
    news: watch::Receiver<u64>,
    ended: watch::Receiver<bool>,
    timestamps: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.news.borrow_and_update();
            let is_over = *self.ended.borrow_and_update();
            let lines = self.reader.new_lines().ok()?;
            if !lines.is_empty() {
                return Some(shown(&lines, self.timestamps).into());
            }
            if self.reader.is_behind(&self.log.path) {
                // the log was begun anew
                self.reader = Reader {
                    file: File::open(&self.log.path).ok()?,
                    rest: Vec::new(),
                };
                continue;
            }
            if is_over {
                return None;
            }
            tokio::select! {
                _ = self.news.changed() => {}
                _ = self.ended.changed() => {}
            }
        }
    }
}

/// A line as kept: its time, what the container wrote, and whether it ended the line.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    time: String,
    text: String,
    is_whole: bool,
}

impl Line {
    /// What the container wrote, with the end of the line if it did.
    fn whole_text(&self) -> String {
        format!("{}{}", self.text, if self.is_whole { "\n" } else { "" })
    }
}

/// A file of lines, read as it grows.
struct Reader {
    file: File,
    rest: Vec<u8>,
}

impl Reader {
    /// The whole lines that were added since the last call.
    fn new_lines(&mut self) -> io::Result<Vec<Line>> {
        self.file.read_to_end(&mut self.rest)?;
        let end = self
            .rest
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let text = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest.drain(..end);
        Ok(text.lines().filter_map(parse).collect())
    }

    /// Whether the file at `path` is another one by now.
    fn is_behind(&self, path: &Path) -> bool {
        let number = |metadata: io::Result<fs::Metadata>| metadata.map(|metadata| metadata.ino()).ok();
        number(fs::metadata(path)) != number(self.file.metadata())
    }
}

/// `TIME STREAM TAG TEXT`, the form of container runtimes; the tag is `F`, or `P` for a part of a line.
fn parse(line: &str) -> Option<Line> {
    let mut parts = line.splitn(4, ' ');
    let (time, _, tag, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some(Line {
        time: time.to_owned(),
        text: text.to_owned(),
        is_whole: tag == WHOLE,
    })
}

fn shown(lines: &[Line], timestamps: bool) -> Vec<u8> {
    let line = |line: &Line| {
        let text = line.whole_text();
        if timestamps {
            format!("{} {text}", line.time)
        } else {
            text
        }
    };
    lines.iter().map(line).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(mut log: LogStream) -> String {
        let mut all = Vec::new();
        while let Some(piece) = log.next().await {
            all.extend(piece.unwrap());
        }
        String::from_utf8(all).unwrap()
    }

    fn log(dir: &tempfile::TempDir) -> Arc<ContainerLog> {
        ContainerLog::create(dir.path().join("0.log")).unwrap()
    }

    #[tokio::test]
    async fn parts_of_a_log_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir);
        log.clone()
            .keep(b"one\ntwo\nlast without end".as_slice(), "stdout")
            .await;
        let (_, ended) = watch::channel(true);
        let read = |options: LogOptions| text(log.read(&options, ended.clone()).unwrap());
        assert_eq!(read(LogOptions::default()).await, "one\ntwo\nlast without end");
        let tail = LogOptions {
            tail_lines: Some(1),
            ..LogOptions::default()
        };
        assert_eq!(read(tail).await, "last without end");
        assert_eq!(log.tail(2), "two\nlast without end");
        let limited = LogOptions {
            limit_bytes: Some(5),
            ..LogOptions::default()
        };
        assert_eq!(read(limited).await, "one\nt");
        let old = LogOptions {
            since_seconds: Some(60),
            timestamps: true,
            ..LogOptions::default()
        };
        assert!(read(old).await.contains("Z one\n"));
    }

    #[tokio::test]
    async fn a_followed_log_goes_on_until_the_container_ends() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir);
        log.write(b"before", "stdout", WHOLE).unwrap();
        let (end, ended) = watch::channel(false);
        let options = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        let following = tokio::spawn(text(log.read(&options, ended).unwrap()));
        tokio::task::yield_now().await;
        log.write(b"after", "stderr", WHOLE).unwrap();
        end.send_replace(true);
        assert_eq!(following.await.unwrap(), "before\nafter\n");
    }
}
