package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestCookbook does what docs/rules.md says, example by example: its
// configuration, its commands, and the lines that they print.
func TestCookbook(t *testing.T) {
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, n := t.TempDir(), 0
	for _, section := range strings.Split(string(page), "\n## ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		config, commands := fenced(section, "yaml"), fenced(section, "console")
		if config == "" && commands == "" {
			continue
		}
		n++
		name := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(notWord.ReplaceAllString(title, " ")), " ", "_"))
		if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(recipe(t, config, commands)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n < 8 {
		t.Fatalf("%d examples with configuration and commands: the page has lost some", n)
	}
	testscript.Run(t, params(t, dir))
}

var notWord = regexp.MustCompile(`[^0-9A-Za-z]+`)

// fenced returns what stands in the fenced block of a language.
func fenced(section, language string) string {
	_, rest, _ := strings.Cut(section, "```"+language+"\n")
	block, _, _ := strings.Cut(rest, "```")
	return block
}

// TestPages does what the pages on access, tokens and the API show, each as one story
// from its first command to its last.
func TestPages(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"access", "tokens", "api"} {
		page, err := os.ReadFile("../../docs/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		b.WriteString("larder-start\n")
		blocks := strings.Split(string(page), "```console\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s.md shows no command", name)
		}
		for _, block := range blocks {
			commands, _, _ := strings.Cut(block, "```")
			b.WriteString(played(t, commands))
		}
		if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, params(t, dir))
}

// recipe writes an example as a story.
func recipe(t *testing.T, config, commands string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`upstream far
upstream-published far left-pad 1.2.0 720h
upstream-published far left-pad 1.3.0 240h
upstream-published far left-pad 1.4.0 2h
upstream-published far @types/pad 2.0.0 1h
upstream-published far evil-pad 6.6.6 960h
larder-start --config larder.yaml --upstream npm=$FAR
npmrc $ADMIN_TOKEN
`)
	b.WriteString(played(t, commands))
	b.WriteString("-- larder.yaml --\n" + config)
	for _, version := range []string{"left-pad/1.2.0", "left-pad/1.3.0", "left-pad/1.4.0", "@types/pad/2.0.0", "evil-pad/6.6.6"} {
		b.WriteString("-- upstream/" + version + "/package.json --\n{}\n")
	}
	return b.String()
}

// played turns the commands of a page into lines of a story. NAME=$(command)
// keeps what it prints; a command that is to fail ends in "# fails"; each line
// below a command is in what it prints, where … stands for any text.
func played(t *testing.T, commands string) string {
	t.Helper()
	var b strings.Builder
	stream := "stdout"
	for line := range strings.Lines(commands) {
		line = strings.TrimSuffix(line, "\n")
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			fmt.Fprintf(&b, "%s '%s'\n", stream, pattern(line))
			continue
		}
		stream = "stdout"
		if works, fails := strings.CutSuffix(command, "  # fails"); fails {
			stream, command = "stderr", works
			b.WriteString("! ")
		}
		name, inner, kept := strings.Cut(strings.TrimSuffix(command, ")"), "=$(")
		if kept {
			command = inner
		}
		fmt.Fprintf(&b, "exec sh -c '%s'\n", strings.ReplaceAll(command, "'", "''"))
		if kept {
			b.WriteString("capture " + name + "\n")
		}
	}
	return b.String()
}

// pattern matches a line of the page: runs of blanks are as good as one, and
// … stands for any text, with the blanks beside it.
func pattern(line string) string {
	var parts []string
	for part := range strings.SplitSeq(line, "…") {
		var words []string
		for _, w := range strings.Fields(part) {
			words = append(words, regexp.QuoteMeta(w))
		}
		parts = append(parts, strings.Join(words, ` +`))
	}
	return `(?m)^ *` + strings.ReplaceAll(strings.Join(parts, `.*`), "'", "''")
}
