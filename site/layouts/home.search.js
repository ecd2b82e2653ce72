{{- /* Every page in sections: where, the title, the heading, the text. site.js looks for words in it. */ -}}
{{- $entries := slice -}}
{{- range site.Pages -}}
{{- $title := partial "title.html" . -}}
{{- $page := . -}}
{{- $url := strings.TrimPrefix "/" .RelPermalink -}}
{{- if .IsHome }}{{ $url = print (cond (eq site.Language.Lang "zh") "zh/" "") "index.html" }}{{ end -}}
{{- range $i, $part := split .Content "<h2 id=" -}}
{{- $heading := "" }}{{ $anchor := "" -}}
{{- if gt $i 0 -}}
{{- $anchor = print "#" (replaceRE `(?s)^"([^"]*)".*$` "$1" $part) -}}
{{- $heading = replaceRE `(?s)^"[^"]*">(.*?)( <a class="anchor".*)?</h2>.*$` "$1" $part | plainify | htmlUnescape -}}
{{- $part = replaceRE `(?s)^.*?</h2>` "" $part -}}
{{- end -}}
{{- $text := replaceRE `<a class="anchor".*?</a>` "" $part | replaceRE `</(td|th|p|li|h[1-6])>` " " | plainify | htmlUnescape | replaceRE `\s+` " " -}}
{{- $entries = $entries | append (dict "url" (print $url $anchor) "title" $title "heading" $heading "text" $text) -}}
{{- end -}}
{{- end -}}
const pages = {{ $entries | jsonify (dict "noHTMLEscape" true) }};
