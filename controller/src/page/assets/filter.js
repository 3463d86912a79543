// Filter expressions of the table: `energy_mj < 20 and status = ok`.
//
//   expression = term { "or" term }          term = factor { "and" factor }
//   factor     = "not" factor | "(" expression ")" | column operator value | text
//   operator   = "<" "<=" ">" ">=" "=" "!=" "~" (contains)
//
// A name or value with blanks stands in quotes: "edge 0→1" = none. A text alone is looked for in all words of a row.
// `missing` is the value of an empty cell.

class FilterError extends Error {}

/** A function from a row's reader (`read(column)`) to true or false. Throws a FilterError with words for the reader. */
function filterOf(text, columns) {
  const tokens = tokensOf(text);
  let next = 0;
  const peek = () => tokens[next];
  const keyword = (word) => peek() && !peek().quoted && peek().text.toLowerCase() === word;

  function expression() {
    const parts = [term()];
    while (keyword("or") && ++next) parts.push(term());
    return parts.length > 1 ? (read) => parts.some((part) => part(read)) : parts[0];
  }

  function term() {
    const parts = [factor()];
    while (peek() && !keyword("or") && !keyword(")")) {
      if (keyword("and")) next += 1;
      parts.push(factor());
    }
    return parts.length > 1 ? (read) => parts.every((part) => part(read)) : parts[0];
  }

  function factor() {
    const token = peek();
    if (!token) throw new FilterError("The expression ends too early.");
    next += 1;
    const plain = !token.quoted;
    if (plain && token.text.toLowerCase() === "not") {
      const inner = factor();
      return (read) => !inner(read);
    }
    if (plain && token.text === "(") {
      const inner = expression();
      if (!keyword(")")) throw new FilterError("A “)” is missing.");
      next += 1;
      return inner;
    }
    if (token.operator || (plain && [")", "and", "or"].includes(token.text.toLowerCase())))
      throw new FilterError(`“${short(token.text, 20)}” cannot stand here.`);
    const operator = peek();
    if (!operator || !operator.operator) return textIn(token.text, columns);
    next += 1;
    const value = peek();
    if (!value || value.operator) throw new FilterError(`A value is missing after “${operator.text}”.`);
    next += 1;
    return comparison(columnOf(token.text, columns), operator.text, value.text);
  }

  if (!tokens.length) return () => true;
  const found = expression();
  if (peek()) throw new FilterError(`“${short(peek().text, 20)}” cannot stand here.`);
  return found;
}

function tokensOf(text) {
  const tokens = [];
  const pattern = /\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(<=|>=|!=|==|[<>=~])|([()])|([^\s()<>=!~"']+)|(.))/gy;
  let match;
  while ((match = pattern.exec(text)) !== null) {
    const [, double, single, operator, bracket, word, wrong] = match;
    if (wrong !== undefined) {
      if (/\s/.test(wrong)) continue;
      throw new FilterError(
        wrong === '"' || wrong === "'"
          ? "A quotation mark is missing."
          : `“${short(wrong, 4)}” cannot stand here.`,
      );
    }
    if (operator) tokens.push({ text: operator === "==" ? "=" : operator, operator: true });
    else if (double !== undefined || single !== undefined)
      tokens.push({ text: double !== undefined ? double.replace(/\\(.)/g, "$1") : single, quoted: true });
    else tokens.push({ text: bracket || word });
  }
  return tokens;
}

function columnOf(name, columns) {
  const found =
    columns.find((column) => column.key === name) ||
    columns.find((column) => column.key.toLowerCase() === name.toLowerCase());
  if (found) return found;
  const near = columns
    .filter((column) => column.key.toLowerCase().includes(name.toLowerCase().slice(0, 4)))
    .slice(0, 4)
    .map((column) => short(column.key, 30));
  throw new FilterError(
    `There is no column “${short(name, 30)}”.${near.length ? ` Did you mean ${near.join(" or ")}?` : ""}`,
  );
}

function comparison(column, operator, text) {
  const missing = text.toLowerCase() === "missing";
  const wanted = text.trim() === "" || missing ? NaN : Number(text);
  const lower = text.toLowerCase();
  if (["<", "<=", ">", ">="].includes(operator) && Number.isNaN(wanted))
    throw new FilterError(`“${operator}” needs a number, not “${short(text, 20)}”.`);
  const equal = (value) =>
    missing
      ? !known(value) || value === ""
      : known(value) &&
        (typeof value === "number" && !Number.isNaN(wanted)
          ? value === wanted
          : String(value).toLowerCase() === lower);
  const tests = {
    "<": (value) => known(value) && value < wanted,
    "<=": (value) => known(value) && value <= wanted,
    ">": (value) => known(value) && value > wanted,
    ">=": (value) => known(value) && value >= wanted,
    "=": equal,
    "!=": (value) => !equal(value),
    "~": (value) => known(value) && String(value).toLowerCase().includes(lower),
  };
  const test = tests[operator];
  return (read) => test(read(column));
}

function textIn(text, columns) {
  const lower = text.toLowerCase();
  const worded = columns.filter((column) => column.words);
  return (read) =>
    worded.some((column) =>
      String(read(column) ?? "")
        .toLowerCase()
        .includes(lower),
    );
}
