//! Makes a tree of a template.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    Fault,
    lexer::{Placed, Token, lex},
    tree::{Command, Node, Operand, Pipeline, Term, Tree},
};

/// Deepest nesting of blocks and parentheses.
const MAX_DEPTH: usize = 100;

/// Parses a template.
pub(super) fn parse(source: &str) -> Result<Tree, Fault> {
    let mut parser = Parser {
        tokens: lex(source)?,
        at: 0,
        end: source.len(),
        depth: 0,
        loops: 0,
        variables: vec!["$".to_owned()],
        defined: BTreeMap::new(),
    };
    let (body, end) = parser.nodes()?;
    match end {
        Ending::Input => Ok(Tree {
            body: Rc::new(body),
            defined: parser.defined,
        }),
        Ending::End(at) => Err(Fault::new(at, "`end` without a block to end")),
        Ending::Else(at) => Err(Fault::new(at, "`else` without a block to divide")),
    }
}

/// What ended a list of nodes.
enum Ending {
    Input,
    End(usize),
    /// The parser stands after the word `else`
    Else(usize),
}

struct Parser {
    tokens: Vec<Placed>,
    at: usize,
    end: usize,
    depth: usize,
    loops: usize,
    variables: Vec<String>,
    defined: BTreeMap<String, Rc<Vec<Node>>>,
}

impl Parser {
    fn nodes(&mut self) -> Result<(Vec<Node>, Ending), Fault> {
        let mut nodes = Vec::new();
        loop {
            let Some(placed) = self.tokens.get(self.at).cloned() else {
                return Ok((nodes, Ending::Input));
            };
            self.at += 1;
            match placed.token {
                Token::Text(text) => nodes.push(Node::Text(text)),
                _ => match self.action(placed.at)? {
                    Action::Node(node) => nodes.push(node),
                    Action::Nothing => {}
                    Action::Ends(ending) => return Ok((nodes, ending)),
                },
            }
        }
    }

    fn action(&mut self, at: usize) -> Result<Action, Fault> {
        self.space();
        let keyword = match self.peek() {
            Some(Token::Word(word)) => word.clone(),
            _ => String::new(),
        };
        let known = matches!(
            keyword.as_str(),
            "if" | "with" | "range" | "end" | "else" | "define" | "block" | "template" | "break" | "continue"
        );
        if !known {
            let pipeline = self.pipeline("an action")?;
            self.close()?;
            return Ok(Action::Node(Node::Print(pipeline)));
        }
        self.at += 1;
        self.deeper(at)?;
        let action = match keyword.as_str() {
            "end" => {
                self.close()?;
                Action::Ends(Ending::End(at))
            }
            "else" => Action::Ends(Ending::Else(at)),
            "break" | "continue" if self.loops == 0 => {
                return Err(Fault::new(at, format!("`{keyword}` outside of `range`")));
            }
            "break" => {
                self.close()?;
                Action::Node(Node::Break)
            }
            "continue" => {
                self.close()?;
                Action::Node(Node::Continue)
            }
            "template" => Action::Node(self.template(at)?),
            "define" if self.depth > 1 => {
                return Err(Fault::new(at, "`define` within another block"));
            }
            "define" => {
                self.define(at)?;
                Action::Nothing
            }
            "block" => Action::Node(self.block(at)?),
            "range" => Action::Node(self.range(at)?),
            keyword => Action::Node(self.branches(at, keyword)?),
        };
        self.depth -= 1;
        Ok(action)
    }

    fn deeper(&mut self, at: usize) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::new(at, "the template is nested too deeply"));
        }
        Ok(())
    }

    /// `if` and `with`, with `else if` or `else with` and `else`.
    fn branches(&mut self, at: usize, keyword: &str) -> Result<Node, Fault> {
        let variables = self.variables.len();
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let condition = self.pipeline(keyword)?;
            self.close()?;
            let (body, ending) = self.nodes()?;
            branches.push((condition, body));
            match ending {
                Ending::Input => return Err(unended(at, keyword)),
                Ending::End(_) => break,
                Ending::Else(_) => {
                    self.space();
                    if self.peek() == Some(&Token::Word(keyword.to_owned())) {
                        self.at += 1;
                        continue;
                    }
                    otherwise = self.last_branch(at, keyword)?;
                    break;
                }
            }
        }
        self.variables.truncate(variables);
        Ok(if keyword == "if" {
            Node::If(branches, otherwise)
        } else {
            Node::With(branches, otherwise)
        })
    }

    fn last_branch(&mut self, at: usize, keyword: &str) -> Result<Vec<Node>, Fault> {
        self.close()?;
        match self.nodes()? {
            (body, Ending::End(_)) => Ok(body),
            (_, Ending::Else(at)) => Err(Fault::new(at, "a second `else`")),
            (_, Ending::Input) => Err(unended(at, keyword)),
        }
    }

    fn range(&mut self, at: usize) -> Result<Node, Fault> {
        let variables = self.variables.len();
        let over = self.pipeline("range")?;
        self.close()?;
        self.loops += 1;
        let (body, ending) = self.nodes()?;
        self.loops -= 1;
        let otherwise = match ending {
            Ending::Input => return Err(unended(at, "range")),
            Ending::End(_) => Vec::new(),
            Ending::Else(_) => self.last_branch(at, "range")?,
        };
        self.variables.truncate(variables);
        Ok(Node::Range(over, body, otherwise))
    }

    fn name(&mut self, at: usize, keyword: &str) -> Result<String, Fault> {
        self.space();
        match self.peek().cloned() {
            Some(Token::Literal(name)) => {
                self.at += 1;
                self.space();
                Ok(name)
            }
            _ => Err(Fault::new(at, format!("`{keyword}` needs a name in quotes"))),
        }
    }

    fn template(&mut self, at: usize) -> Result<Node, Fault> {
        let name = self.name(at, "template")?;
        let argument = match self.peek() {
            Some(Token::Close) => None,
            _ => Some(self.pipeline("template")?),
        };
        self.close()?;
        Ok(Node::Template { name, argument, at })
    }

    fn define(&mut self, at: usize) -> Result<(), Fault> {
        let name = self.name(at, "define")?;
        self.close()?;
        self.definition(at, name, "define")
    }

    fn definition(&mut self, at: usize, name: String, keyword: &str) -> Result<(), Fault> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, ending) = self.nodes()?;
        self.variables = variables;
        self.loops = loops;
        match ending {
            Ending::End(_) => {
                self.defined.insert(name, Rc::new(body));
                Ok(())
            }
            Ending::Else(at) => Err(Fault::new(at, format!("`else` in `{keyword}`"))),
            Ending::Input => Err(unended(at, keyword)),
        }
    }

    fn block(&mut self, at: usize) -> Result<Node, Fault> {
        let name = self.name(at, "block")?;
        let argument = Some(self.pipeline("block")?);
        self.close()?;
        self.definition(at, name.clone(), "block")?;
        Ok(Node::Template { name, argument, at })
    }

    fn pipeline(&mut self, of: &str) -> Result<Pipeline, Fault> {
        self.space();
        let at = self.place();
        self.deeper(at)?;
        let (variables, declares) = self.variables(of == "range")?;
        let mut commands = Vec::new();
        loop {
            self.space();
            let command = self.command()?;
            if let Some(first) = command.operands.first()
                && !commands.is_empty()
                && !matches!(
                    first.term,
                    Term::Function(_) | Term::Dot | Term::Variable(_) | Term::Pipeline(_)
                )
            {
                return Err(Fault::new(command.at, "only functions can follow `|`"));
            }
            if command.operands.is_empty() {
                return Err(Fault::new(command.at, format!("{of} is missing a value")));
            }
            commands.push(command);
            self.space();
            if self.peek() != Some(&Token::Pipe) {
                break;
            }
            self.at += 1;
        }
        if declares {
            self.variables.extend(variables.iter().cloned());
        }
        self.depth -= 1;
        Ok(Pipeline {
            variables,
            declares,
            commands,
            at,
        })
    }

    /// `$x :=`, `$x =`, and in a range `$i, $x :=`.
    fn variables(&mut self, in_range: bool) -> Result<(Vec<String>, bool), Fault> {
        let start = self.at;
        let at = self.place();
        let mut names = Vec::new();
        while let Some(Token::Variable(name)) = self.peek().cloned() {
            self.at += 1;
            self.space();
            names.push(name);
            match self.peek() {
                Some(Token::Comma) if in_range && names.len() == 1 => {
                    self.at += 1;
                    self.space();
                }
                Some(Token::Declare) => {
                    self.at += 1;
                    return Ok((names, true));
                }
                Some(Token::Assign) => {
                    self.at += 1;
                    for name in &names {
                        self.known_variable(name, at)?;
                    }
                    return Ok((names, false));
                }
                _ => break,
            }
        }
        self.at = start;
        Ok((Vec::new(), false))
    }

    fn known_variable(&self, name: &str, at: usize) -> Result<(), Fault> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Fault::new(
            at,
            format!(
                "unknown variable `{name}`; known are {}",
                self.variables.join(", ")
            ),
        ))
    }

    fn command(&mut self) -> Result<Command, Fault> {
        let at = self.place();
        let mut operands = Vec::new();
        while let Some(operand) = self.operand()? {
            operands.push(operand);
            match self.peek() {
                Some(Token::Space) => self.space(),
                Some(Token::Close | Token::Pipe | Token::Right) | None => break,
                Some(_) => return Err(Fault::new(self.place(), "arguments must be parted by blanks")),
            }
        }
        Ok(Command { operands, at })
    }

    fn operand(&mut self) -> Result<Option<Operand>, Fault> {
        let at = self.place();
        let Some(token) = self.peek().cloned() else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        let term = match token {
            Token::Dot => Term::Dot,
            Token::Field(name) => {
                fields.push(name);
                Term::Dot
            }
            Token::Variable(name) => {
                self.known_variable(&name, at)?;
                Term::Variable(name)
            }
            Token::Word(word) => match word.as_str() {
                "true" => Term::Bool(true),
                "false" => Term::Bool(false),
                "nil" => Term::Nil,
                _ => Term::Function(word),
            },
            Token::Int(number) => Term::Int(number),
            Token::Float(number) => Term::Float(number),
            Token::Literal(text) => Term::Text(text.into()),
            Token::Left => {
                self.at += 1;
                let pipeline = self.pipeline("parentheses")?;
                self.space();
                if self.peek() != Some(&Token::Right) {
                    return Err(Fault::new(at, "`(` without `)`"));
                }
                Term::Pipeline(Box::new(pipeline))
            }
            Token::Close | Token::Pipe | Token::Right => return Ok(None),
            Token::Declare | Token::Assign | Token::Comma => {
                return Err(Fault::new(
                    at,
                    "unexpected sign; variables are set at the beginning of an action",
                ));
            }
            Token::Space | Token::Open | Token::Text(_) => return Err(Fault::new(at, "unexpected token")),
        };
        self.at += 1;
        while let Some(Token::Field(name)) = self.peek().cloned() {
            if matches!(
                term,
                Term::Bool(_) | Term::Nil | Term::Int(_) | Term::Float(_) | Term::Text(_)
            ) {
                return Err(Fault::new(self.place(), "a literal has no fields"));
            }
            self.at += 1;
            fields.push(name);
        }
        Ok(Some(Operand { term, fields, at }))
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.space();
        if self.peek() == Some(&Token::Close) {
            self.at += 1;
            return Ok(());
        }
        Err(Fault::new(self.place(), "expected `}}`"))
    }

    fn space(&mut self) {
        while self.peek() == Some(&Token::Space) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|placed| &placed.token)
    }

    /// Where the next token is, in bytes.
    fn place(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |placed| placed.at)
    }
}

/// What an action adds to the template.
enum Action {
    Node(Node),
    Nothing,
    Ends(Ending),
}

fn unended(at: usize, keyword: &str) -> Fault {
    Fault::new(at, format!("`{keyword}` without `end`"))
}
