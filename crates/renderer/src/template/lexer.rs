//! Splits a template into texts and the tokens of its actions, with Go's rules.

use super::Fault;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Text between actions
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// A name: a function, a keyword, `true`
    Word(String),
    /// `.name`, without the dot
    Field(String),
    /// `.` alone
    Dot,
    /// `$name`, with the dollar
    Variable(String),
    /// A literal in quotes or backquotes
    Literal(String),
    /// A whole number, or a character
    Int(i64),
    /// A number with a fraction or an exponent
    Float(f64),
    /// `|`
    Pipe,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// `,`
    Comma,
    /// `(`
    Left,
    /// `)`
    Right,
    /// Blanks between tokens, which decide whether `.x` is an argument of its own
    Space,
}

/// A token and where it starts, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: usize,
}

/// Splits a template.
pub(super) fn lex(source: &str) -> Result<Vec<Placed>, Fault> {
    let mut lexer = Lexer {
        source,
        at: 0,
        tokens: Vec::new(),
    };
    let mut trim_left = false;
    while let Some(open) = source[lexer.at..].find("{{") {
        let start = lexer.at;
        let open = start + open;
        let after = open + 2;
        let trims = source[after..].starts_with('-') && source[after + 1..].starts_with(is_space);
        lexer.text(&source[start..open], start, trim_left, trims);
        lexer.at = if trims { after + 1 } else { after };
        let inside = source[lexer.at..].trim_start_matches(is_space);
        trim_left = if inside.starts_with("/*") {
            lexer.at = source.len() - inside.len();
            lexer.comment(open)?
        } else {
            lexer.tokens.push(Placed {
                token: Token::Open,
                at: open,
            });
            lexer.action(open)?
        };
    }
    let start = lexer.at;
    lexer.text(&source[start..], start, trim_left, false);
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Placed>,
}

impl Lexer<'_> {
    fn text(&mut self, text: &str, at: usize, trim_left: bool, trim_right: bool) {
        let text = if trim_left {
            text.trim_start_matches(is_space)
        } else {
            text
        };
        let text = if trim_right {
            text.trim_end_matches(is_space)
        } else {
            text
        };
        if !text.is_empty() {
            self.tokens.push(Placed {
                token: Token::Text(text.to_owned()),
                at,
            });
        }
    }

    /// Passes over a comment; whether it trims the text after it.
    fn comment(&mut self, open: usize) -> Result<bool, Fault> {
        let Some(end) = self.source[self.at..].find("*/") else {
            return Err(Fault::new(open, "a comment without `*/`"));
        };
        self.at += end + 2;
        match self.close() {
            Some(trims) => Ok(trims),
            None => Err(Fault::new(self.at, "a comment must be followed by `}}` at once")),
        }
    }

    /// Passes over `}}` or ` -}}` if it is next; whether it trims.
    fn close(&mut self) -> Option<bool> {
        let rest = &self.source[self.at..];
        if rest.starts_with("}}") {
            self.at += 2;
            return Some(false);
        }
        let trimmed = rest.trim_start_matches(is_space);
        if trimmed.len() < rest.len() && trimmed.starts_with("-}}") {
            self.at = self.source.len() - trimmed.len() + 3;
            return Some(true);
        }
        None
    }

    /// Reads the tokens of an action; whether it trims the text after it.
    fn action(&mut self, open: usize) -> Result<bool, Fault> {
        loop {
            let at = self.at;
            if let Some(trims) = self.close() {
                self.push(Token::Close, at);
                return Ok(trims);
            }
            let Some(c) = self.peek() else {
                return Err(Fault::new(open, "`{{` without `}}`"));
            };
            let token = match c {
                c if is_space(c) => {
                    self.take_while(is_space);
                    Token::Space
                }
                '"' => self.quoted()?,
                '`' => self.raw()?,
                '\'' => self.character()?,
                '|' => self.single(Token::Pipe),
                '=' => self.single(Token::Assign),
                ',' => self.single(Token::Comma),
                '(' => self.single(Token::Left),
                ')' => self.single(Token::Right),
                ':' if self.source[at..].starts_with(":=") => {
                    self.at += 2;
                    Token::Declare
                }
                '.' if self.source[at + 1..].starts_with(|c: char| c.is_ascii_digit()) => self.number()?,
                '.' => {
                    self.at += 1;
                    match self.take_while(is_word) {
                        "" => Token::Dot,
                        name => Token::Field(name.to_owned()),
                    }
                }
                '$' => {
                    self.at += 1;
                    Token::Variable(format!("${}", self.take_while(is_word)))
                }
                c if c.is_ascii_digit() || c == '+' || c == '-' => self.number()?,
                c if is_word(c) => Token::Word(self.take_while(is_word).to_owned()),
                c => return Err(Fault::new(at, format!("unexpected `{c}`"))),
            };
            self.push(token, at);
        }
    }

    fn push(&mut self, token: Token, at: usize) {
        self.tokens.push(Placed { token, at });
    }

    fn single(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &str {
        let rest = &self.source[self.at..];
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn raw(&mut self) -> Result<Token, Fault> {
        let start = self.at + 1;
        let Some(end) = self.source[start..].find('`') else {
            return Err(Fault::new(self.at, "a text without its closing backquote"));
        };
        self.at = start + end + 1;
        Ok(Token::Literal(self.source[start..start + end].to_owned()))
    }

    fn quoted(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None | Some('\n') => return Err(Fault::new(start, "a text without its closing quote")),
                Some('"') => {
                    self.at += 1;
                    return Ok(Token::Literal(text));
                }
                Some('\\') => text.push(self.escape('"')?),
                Some(c) => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
    }

    fn character(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        self.at += 1;
        let c = match self.peek() {
            Some('\\') => self.escape('\'')?,
            Some(c) if c != '\'' && c != '\n' => {
                self.at += c.len_utf8();
                c
            }
            _ => return Err(Fault::new(start, "an empty character")),
        };
        if self.peek() != Some('\'') {
            return Err(Fault::new(
                start,
                "a character without its closing quote; texts stand in double quotes",
            ));
        }
        self.at += 1;
        Ok(Token::Int(i64::from(u32::from(c))))
    }

    /// Reads an escape in what stands between two of `quote`.
    fn escape(&mut self, quote: char) -> Result<char, Fault> {
        let start = self.at;
        self.at += 1;
        let fault = || Fault::new(start, "an unknown escape");
        let c = self.peek().ok_or_else(fault)?;
        self.at += c.len_utf8();
        let (radix, digits) = match c {
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\u{b}'),
            '\\' => return Ok(c),
            c if c == quote => return Ok(c),
            'x' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            '0'..='7' => {
                self.at -= 1;
                (8, 3)
            }
            _ => return Err(fault()),
        };
        let code = self.source.get(self.at..self.at + digits).ok_or_else(fault)?;
        if !code.chars().all(|c| c.is_digit(radix)) {
            return Err(fault());
        }
        self.at += digits;
        let code = u32::from_str_radix(code, radix).map_err(|_| fault())?;
        // in a text they stand for a byte, which alone is no text beyond ASCII
        let is_byte = quote == '"' && matches!(c, 'x' | '0'..='7');
        char::from_u32(code)
            .filter(|c| !is_byte || c.is_ascii())
            .ok_or_else(fault)
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        if matches!(self.peek(), Some('+' | '-')) {
            self.at += 1;
        }
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let so_far = &self.source[start..self.at];
        if so_far.ends_with(['e', 'E']) && !so_far.contains("0x") && matches!(self.peek(), Some('+' | '-')) {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
        }
        let text = &self.source[start..self.at];
        parse_number(text).ok_or_else(|| Fault::new(start, format!("`{text}` is no number")))
    }
}

/// A number as Go reads its literals: `_` between digits, a base by its prefix, octal after a zero. One
/// that fits no type of Go's is none.
fn parse_number(text: &str) -> Option<Token> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let lower = digits.replace('_', "").to_ascii_lowercase();
    let is_decimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (&lower[2..], 16),
        Some("0o") => (&lower[2..], 8),
        Some("0b") => (&lower[2..], 2),
        Some(_) if lower.starts_with('0') && is_decimal(&lower) => (&lower[1..], 8),
        _ => (&lower[..], 10),
    };
    if radix != 10 || is_decimal(digits) {
        let is_unsigned = digits.starts_with(|c: char| c.is_ascii_alphanumeric());
        let whole = i64::from_str_radix(&format!("{sign}{digits}"), radix).ok();
        return whole.filter(|_| is_unsigned).map(Token::Int);
    }
    if !digits.contains(|c: char| c.is_ascii_digit())
        || digits.contains(|c: char| !(c.is_ascii_digit() || ".e+-".contains(c)))
    {
        return None;
    }
    let float: f64 = format!("{sign}{digits}").parse().ok()?;
    float.is_finite().then_some(Token::Float(float))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
