"""The style of a marked page. Nothing in it takes room or moves what the page shows.

Every rule is important and the labels start from nothing (`all: initial`): the page's own style comes first.
"""

STYLE = """
[data-m3w=text]{outline:2px solid #15803d!important;outline-offset:1px!important}
pre[data-m3w=text]{outline-offset:-2px!important}
m3w-run[data-m3w=text]{outline-width:1px!important}
[data-m3w=media]{outline:3px solid #1d4ed8!important;outline-offset:-3px!important;opacity:1!important;
visibility:visible!important}
[data-m3w=dropped]{opacity:.45!important}
[data-m3w=dropped] [data-m3w=dropped]{opacity:1!important}
html,body{opacity:1!important;visibility:visible!important}
html{padding-bottom:7rem!important}
m3w-run{all:unset}
m3w-tag{all:initial!important;visibility:inherit!important;position:absolute!important;
display:block!important;z-index:2147483000!important;transform:translate(-2px,-90%)!important;
font:600 9px/11px system-ui,sans-serif!important;letter-spacing:0!important;color:#fff!important;
background:#15803d!important;padding:0 4px!important;border-radius:3px!important;
white-space:nowrap!important;pointer-events:none!important;opacity:.9!important;direction:ltr!important}
m3w-run>m3w-tag{display:inline!important}
m3w-tag[data-m3w-of=item]{transform:translate(calc(-100% - 3px),2px)!important}
m3w-tag[data-m3w-of=media]{background:#1d4ed8!important;transform:none!important}
m3w-tag[data-m3w-of=dropped]{background:#4a0010!important}
m3w-legend{all:initial!important;position:fixed!important;display:block!important;left:0!important;
right:0!important;bottom:0!important;z-index:2147483647!important;max-height:45vh!important;
overflow:auto!important;background:#fffffff5!important;color:#1d2127!important;direction:ltr!important;
border-top:1px solid #d6d3cb!important;box-shadow:0 -4px 18px #0000001f!important;
font:13px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif!important}
m3w-legend *{all:revert;font:inherit;color:inherit;letter-spacing:0}
m3w-legend details{padding:9px 16px 11px}
m3w-legend summary{cursor:pointer;font-weight:600;overflow:hidden;text-overflow:ellipsis;
white-space:nowrap}
m3w-legend p{margin:2px 0 0;overflow-wrap:anywhere}
m3w-legend a{color:#1d4ed8;text-decoration:underline}
m3w-legend b{font-weight:600;font-variant-numeric:tabular-nums}
m3w-legend i{font-style:normal;display:inline-block;border-radius:99px;padding:0 8px;
margin:3px 5px 0 0;background:#f0eee8}
m3w-legend i.text{background:none;outline:2px solid #15803d;outline-offset:-2px}
m3w-legend i.media{background:none;outline:2px solid #1d4ed8;outline-offset:-2px}
m3w-legend i.dropped{background:#fbe4e8;color:#9f1239}
m3w-legend .good{color:#15803d}
m3w-legend .bad{color:#b45309}
"""
