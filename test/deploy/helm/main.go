// Renders the templates of a chart as Helm does, with the few functions that ours use:
// `main CHART` with a JSON document {Values, Chart, Release} on stdin writes {file: text} to stdout.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"text/template"
)

func main() {
	var context map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&context); err != nil {
		fail(err)
	}
	all := template.New("chart").Option("missingkey=error")
	all.Funcs(template.FuncMap{
		"quote":   func(value any) string { return fmt.Sprintf("%q", fmt.Sprint(value)) },
		"nindent": func(by int, text string) string { return "\n" + indent(by, text) },
		"toYaml":  func(value any) string { return strings.TrimSuffix(block(value), "\n") },
		"default": func(fallback, value any) any {
			if value == nil || reflect.ValueOf(value).IsZero() {
				return fallback
			}
			return value
		},
		"ternary": func(yes, no any, choice bool) any {
			if choice {
				return yes
			}
			return no
		},
		"include": func(name string, data any) (string, error) {
			var text strings.Builder
			err := all.ExecuteTemplate(&text, name, data)
			return text.String(), err
		},
	})
	files, err := filepath.Glob(filepath.Join(os.Args[1], "templates", "*"))
	if err != nil {
		fail(err)
	}
	if _, err := all.ParseFiles(files...); err != nil {
		fail(err)
	}
	rendered := map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var text strings.Builder
		if err := all.ExecuteTemplate(&text, name, context); err != nil {
			fail(err)
		}
		rendered[name] = text.String()
	}
	if err := json.NewEncoder(os.Stdout).Encode(rendered); err != nil {
		fail(err)
	}
}

// Block style for what is not empty; YAML has JSON within it for the rest.
func block(value any) string {
	var text strings.Builder
	switch typed := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(typed)) {
			fmt.Fprintf(&text, "%s: %s\n", key, scalar(typed[key]))
		}
	case []any:
		for _, entry := range typed {
			fmt.Fprintf(&text, "- %s\n", scalar(entry))
		}
	}
	if text.Len() == 0 {
		return scalar(value)
	}
	return text.String()
}

func scalar(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		fail(err)
	}
	return string(text)
}

func indent(by int, text string) string {
	pad := strings.Repeat(" ", by)
	return pad + strings.ReplaceAll(text, "\n", "\n"+pad)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
