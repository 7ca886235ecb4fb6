package dofkit.portrait

/** A value of JSON, enough of it to read a manifest without a library. */
@JvmInline
value class Json(private val value: Any?) {
    operator fun get(name: String): Json {
        val members = value as? Map<*, *> ?: error("no object with $name")
        if (name !in members) error("$name is missing")
        return Json(members[name])
    }

    val list: List<Json> get() = (value as? List<*> ?: error("$value is no list")).map(::Json)
    val listOrNull: List<Json>? get() = if (value == null) null else list
    val members: Map<String, Json>
        get() = (value as Map<*, *>).entries.associate { (name, member) -> name as String to Json(member) }
    val text: String get() = value as String
    val double: Double get() = value as Double
    val int: Int get() = double.toInt()
    val boolean: Boolean get() = value as Boolean

    companion object {
        fun parse(text: String): Json = JsonReader(text).whole()
    }
}

private class JsonReader(private val text: String) {
    private var at = 0

    fun whole(): Json {
        val value = value()
        check(peek() == null) { "something follows the JSON at $at" }
        return Json(value)
    }

    private fun value(): Any? = when (peek()) {
        '{' -> members()
        '[' -> elements()
        '"' -> string()
        't' -> word("true", true)
        'f' -> word("false", false)
        'n' -> word("null", null)
        else -> number()
    }

    private fun members(): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        each('{', '}') {
            val name = string()
            take(':')
            found[name] = value()
        }
        return found
    }

    private fun elements(): List<Any?> {
        val found = ArrayList<Any?>()
        each('[', ']') { found += value() }
        return found
    }

    private fun each(open: Char, close: Char, one: () -> Unit) {
        take(open)
        while (peek() != close) {
            one()
            if (peek() == ',') take(',')
        }
        take(close)
    }

    private fun string(): String {
        take('"')
        val found = StringBuilder()
        while (text[at] != '"') {
            val sign = text[at++]
            found.append(if (sign == '\\') escaped() else sign)
        }
        at++
        return found.toString()
    }

    private fun escaped(): Char = when (val sign = text[at++]) {
        'n' -> '\n'
        't' -> '\t'
        'r' -> '\r'
        'b' -> '\b'
        'f' -> '\u000c'
        'u' -> text.substring(at, at + 4).toInt(16).toChar().also { at += 4 }
        else -> sign
    }

    private fun number(): Double {
        val start = at
        while (at < text.length && text[at] in "+-.0123456789eE") at++
        return text.substring(start, at).toDoubleOrNull() ?: error("no JSON at $start")
    }

    private fun <T> word(word: String, value: T): T {
        check(text.startsWith(word, at)) { "no JSON at $at" }
        at += word.length
        return value
    }

    private fun peek(): Char? {
        while (at < text.length && text[at].isWhitespace()) at++
        return text.getOrNull(at)
    }

    private fun take(sign: Char) {
        check(peek() == sign) { "$sign is missing at $at" }
        at++
    }
}
