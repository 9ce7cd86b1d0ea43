//! The part of SPDY/3.1 that port forwarding needs: streams that the client opens, data both ways.
//!
//! Source: the SPDY protocol draft 3.1; `kubectl` speaks it through `moby/spdystream`, which neither
//! sends nor expects flow control.

use std::{collections::HashMap, io};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use crate::kubelet::Duplex;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GO_AWAY: u16 = 7;
const FLAG_FIN: u8 = 1;
const CONTROL: u8 = 0x80;
const VERSION: u8 = 3;

/// The words that the header compression of SPDY/3 knows beforehand, each written with its length.
const DICTIONARY_WORDS: [&str; 65] = [
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
];

/// What follows the words, without lengths.
const DICTIONARY_TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417\
502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized\
403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1423);
    for word in DICTIONARY_WORDS {
        bytes.extend(length(word.len()));
        bytes.extend(word.as_bytes());
    }
    bytes.extend(DICTIONARY_TAIL.as_bytes());
    bytes
}

/// A stream that the client opened.
pub(crate) struct Stream {
    headers: Vec<(String, String)>,
    /// What the client sends, until it is done.
    pub(crate) input: mpsc::Receiver<Bytes>,
    /// The way back.
    pub(crate) output: Output,
}

impl Stream {
    /// The value of a header; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// The server's end of a stream.
#[derive(Clone)]
pub(crate) struct Output {
    id: u32,
    frames: mpsc::Sender<Vec<u8>>,
}

impl Output {
    pub(crate) async fn send(&self, data: &[u8]) {
        // a client that is gone reads no more
        let _ = self.frames.send(data_frame(self.id, 0, data)).await;
    }

    pub(crate) async fn finish(&self) {
        let _ = self.frames.send(data_frame(self.id, FLAG_FIN, &[])).await;
    }
}

/// Speaks SPDY on `connection`; gives the streams that the client opens, until it is gone.
pub(crate) fn serve(connection: impl Duplex + 'static) -> mpsc::Receiver<Stream> {
    let (reader, mut writer) = tokio::io::split(connection);
    let (frames, mut outgoing) = mpsc::channel::<Vec<u8>>(64);
    let (opened, streams) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if writer.write_all(&frame).await.is_err() {
                return;
            }
        }
        let _ = writer.shutdown().await;
    });
    tokio::spawn(async move {
        let session = Session {
            reader,
            frames,
            opened,
            inputs: HashMap::new(),
            headers: HeaderCodec::new(),
        };
        if let Err(error) = session.read().await {
            tracing::debug!(%error, "a SPDY session ended");
        }
    });
    streams
}

struct Session<R> {
    reader: R,
    frames: mpsc::Sender<Vec<u8>>,
    opened: mpsc::Sender<Stream>,
    inputs: HashMap<u32, mpsc::Sender<Bytes>>,
    headers: HeaderCodec,
}

impl<R: AsyncRead + Unpin> Session<R> {
    async fn read(mut self) -> io::Result<()> {
        loop {
            let mut head = [0; 8];
            if let Err(error) = self.reader.read_exact(&mut head).await {
                return if error.kind() == io::ErrorKind::UnexpectedEof {
                    Ok(())
                } else {
                    Err(error)
                };
            }
            let [first, second, third, fourth, flags, long, middle, short] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, long, middle, short]) as usize];
            self.reader.read_exact(&mut payload).await?;
            if first & CONTROL == 0 {
                let id = u32::from_be_bytes([first, second, third, fourth]);
                self.on_data(id, flags, payload).await;
                continue;
            }
            match u16::from_be_bytes([third, fourth]) {
                SYN_STREAM => self.on_open(flags, &payload).await?,
                RST_STREAM => {
                    self.inputs.remove(&stream_id(&payload)?);
                }
                PING => {
                    let _ = self.frames.send(control_frame(PING, 0, &payload)).await;
                }
                GO_AWAY => return Ok(()),
                _ => {}
            }
        }
    }

    async fn on_data(&mut self, id: u32, flags: u8, payload: Vec<u8>) {
        if let Some(input) = self.inputs.get(&id)
            && !payload.is_empty()
            && input.send(payload.into()).await.is_err()
        {
            self.inputs.remove(&id);
        }
        if flags & FLAG_FIN != 0 {
            self.inputs.remove(&id);
        }
    }

    async fn on_open(&mut self, flags: u8, payload: &[u8]) -> io::Result<()> {
        let id = stream_id(payload)?;
        let block = payload.get(10..).ok_or_else(|| malformed("a short SYN_STREAM"))?;
        let headers = self.headers.decode(block)?;
        let mut reply = id.to_be_bytes().to_vec();
        reply.extend(self.headers.encode_none()?);
        let _ = self.frames.send(control_frame(SYN_REPLY, 0, &reply)).await;
        let (input, receiver) = mpsc::channel(64);
        if flags & FLAG_FIN == 0 {
            self.inputs.insert(id, input);
        }
        let output = Output {
            id,
            frames: self.frames.clone(),
        };
        // whoever serves the streams may have stopped
        let _ = self
            .opened
            .send(Stream {
                headers,
                input: receiver,
                output,
            })
            .await;
        Ok(())
    }
}

/// Header blocks: one compression for the whole session in each direction.
struct HeaderCodec {
    inflate: Decompress,
    deflate: Compress,
    dictionary: Vec<u8>,
    deflate_knows: bool,
}

impl HeaderCodec {
    fn new() -> Self {
        Self {
            inflate: Decompress::new(true),
            deflate: Compress::new(Compression::default(), true),
            dictionary: dictionary(),
            deflate_knows: false,
        }
    }

    fn decode(&mut self, block: &[u8]) -> io::Result<Vec<(String, String)>> {
        let plain = self.inflate_block(block)?;
        let mut rest = plain.as_slice();
        let count = take_length(&mut rest)?;
        let mut headers = Vec::new();
        for _ in 0..count {
            headers.push((take_text(&mut rest)?, take_text(&mut rest)?));
        }
        Ok(headers)
    }

    fn inflate_block(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        const LIMIT: usize = 64 * 1024;
        let start = self.inflate.total_in();
        let mut plain = Vec::with_capacity(1024);
        loop {
            let done = usize::try_from(self.inflate.total_in() - start).unwrap_or(block.len());
            if plain.len() == plain.capacity() {
                if plain.len() >= LIMIT {
                    return Err(malformed("a header block that is too large"));
                }
                plain.reserve(plain.len());
            }
            match self
                .inflate
                .decompress_vec(&block[done..], &mut plain, FlushDecompress::Sync)
            {
                Ok(_) => {
                    let all_read = self.inflate.total_in() - start == block.len() as u64;
                    if all_read && plain.len() < plain.capacity() {
                        return Ok(plain);
                    }
                }
                Err(error) if error.needs_dictionary().is_some() => {
                    self.inflate
                        .set_dictionary(&self.dictionary)
                        .map_err(io::Error::other)?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// The block that says: no headers.
    fn encode_none(&mut self) -> io::Result<Vec<u8>> {
        if !self.deflate_knows {
            self.deflate
                .set_dictionary(&self.dictionary)
                .map_err(io::Error::other)?;
            self.deflate_knows = true;
        }
        let mut block = Vec::with_capacity(64);
        self.deflate
            .compress_vec(&length(0), &mut block, FlushCompress::Sync)
            .map_err(io::Error::other)?;
        Ok(block)
    }
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn stream_id(payload: &[u8]) -> io::Result<u32> {
    let bytes = payload
        .first_chunk()
        .ok_or_else(|| malformed("a frame without a stream"))?;
    Ok(u32::from_be_bytes(*bytes) & 0x7fff_ffff)
}

fn take_length(rest: &mut &[u8]) -> io::Result<usize> {
    let (bytes, after) = rest
        .split_first_chunk()
        .ok_or_else(|| malformed("a short header block"))?;
    *rest = after;
    Ok(u32::from_be_bytes(*bytes) as usize)
}

fn take_text(rest: &mut &[u8]) -> io::Result<String> {
    let length = take_length(rest)?;
    let (text, after) = rest
        .split_at_checked(length)
        .ok_or_else(|| malformed("a short header block"))?;
    *rest = after;
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn frame(head: [u8; 4], flags: u8, payload: &[u8]) -> Vec<u8> {
    let [_, long, middle, short] = length(payload.len());
    let mut frame = Vec::with_capacity(8 + payload.len());
    frame.extend(head);
    frame.extend([flags, long, middle, short]);
    frame.extend(payload);
    frame
}

fn data_frame(id: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    frame(id.to_be_bytes(), flags, data)
}

fn control_frame(kind: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = kind.to_be_bytes();
    frame([CONTROL, VERSION, high, low], flags, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's header block, compressed as `moby/spdystream` does.
    fn block(deflate: &mut Compress, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut plain = length(headers.len()).to_vec();
        for (name, value) in headers {
            for text in [name, value] {
                plain.extend(length(text.len()));
                plain.extend(text.as_bytes());
            }
        }
        let mut block = Vec::with_capacity(4096);
        deflate
            .compress_vec(&plain, &mut block, FlushCompress::Sync)
            .unwrap();
        block
    }

    fn client() -> Compress {
        let mut deflate = Compress::new(Compression::best(), true);
        deflate.set_dictionary(&dictionary()).unwrap();
        deflate
    }

    #[test]
    fn the_dictionary_has_its_known_length() {
        assert_eq!(dictionary().len(), 1423);
    }

    #[test]
    fn blocks_of_one_session_are_read_one_after_the_other() {
        let (mut client, mut codec) = (client(), HeaderCodec::new());
        for port in ["80", "8080"] {
            let block = block(&mut client, &[("streamtype", "data"), ("port", port)]);
            let headers = codec.decode(&block).unwrap();
            assert_eq!(
                headers,
                [
                    ("streamtype".into(), "data".into()),
                    ("port".into(), port.to_owned())
                ]
            );
        }
    }

    #[tokio::test]
    async fn a_stream_is_opened_answered_and_closed() {
        let (mut near, far) = tokio::io::duplex(4096);
        let mut streams = serve(far);
        let mut open = 1_u32.to_be_bytes().to_vec();
        open.extend([0; 6]);
        open.extend(block(&mut client(), &[("Port", "80")]));
        near.write_all(&control_frame(SYN_STREAM, 0, &open))
            .await
            .unwrap();
        near.write_all(&data_frame(1, FLAG_FIN, b"hello")).await.unwrap();

        let mut stream = streams.recv().await.unwrap();
        assert_eq!(stream.header("port"), "80");
        assert_eq!(stream.input.recv().await.unwrap(), "hello");
        assert!(stream.input.recv().await.is_none());
        stream.output.send(b"world").await;
        let mut head = [0; 8];
        near.read_exact(&mut head).await.unwrap();
        assert_eq!(head[..4], [CONTROL, VERSION, 0, 2]);
        let mut reply = vec![0; usize::from(head[7])];
        near.read_exact(&mut reply).await.unwrap();
        let mut data = [0; 13];
        near.read_exact(&mut data).await.unwrap();
        assert_eq!(&data[8..], b"world");
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(HeaderCodec::new().decode(b"garbage").is_err());
    }
}
