"""The smallest video that plays: one blue square for a second, for tasks whose driving video lies elsewhere."""

import base64
import zlib

_PACKED = (
    r"c-nnbF>ezw6n0ub1tC$?A~AF@P$49m<nEeArP4_)RYe$(Sm=awIJPf$#6DkbCv7@0Fd%jq+4v1iNF5lMSfPjk76c0j{y=!XrcGL)zI%Spe&2h~?>"
    r"*lkgm7$od1{nIXbd?H6p$|UWnS|ULKCs(9CV3f!~$PCb+X@I`Ly=^_1E3TtLJkc@a~l#KevK<4VN)hnq$Ad0Aiy8Th%*v*KU<-cx8PRbc|C_tg5^"
    r"xcx-XtdGqDK3miJJHeae%H#avc-IQ@9NLEq0Rds$ViIoB{Dz~Z1%o3)gNoeR{&EwF=j5md%?a*6-2a}A5p5bnVB@bCju<0~G@^Ef?0Eao!Ec7cLK"
    r"w!c$-Qp~AzMMs*N!H?_U&l1jN|FdneQY%sA~k?m+*)MRf<QMU%#0JZtuh`4{+#dQm>3)7rk&<sG;pwyM=FjDcSbhRU|>KglxmX%7SV9eh?Mf-hKD"
    r"m<grKP;)*U0wEZ2en2=<$zqe(BKO6H_E5Y)zMl4jrnfSNc=tcm2#)h16{iOoT3^B$<fU}0a3WSY6?lxLiFoU6jzl|*xsxI)vA>KMx=)WKB}7GW@7"
    r"@$iO=9(t8Jh`Do9aIzKFZ-8Jd&%+u{b0{jb4r*S525p2MdIT41ia&Y0bp9zCyWsDj<==~FV)8TGulG`^E~tg<CJY@K<KGG@A@>eP=`iZ(dKn!%#^"
    r"AjQ>9#?>Z`(!8@xQ&f*vH5DXWYpFAvDXGHNa=MFm`A$@LSlHUP!pFAYjRk=Du9ey*I_8oG_vHHST*EMXtN=r$I6%xWklgLtkPLrn|CmI(p1mwx^q"
    r"6(Cm>k&UUoGdvfWtu}uN;OJfZi!8~(6iT{+sB|V86z#IQX932<?eVDI<*VWR^oiqI}Xu1Xb<MyO$NHJaeb@^clok-rDd+QQ{>o}<7)PWOYiz@GjE"
    r"DicF1Ba)F_YY_qblZc=@L;${)d=1L3OmfY?kq@Na5pZEb^^MmNuG<*tR_-u_aA}?D8K"
)
SAMPLE_MP4 = zlib.decompress(base64.b85decode(_PACKED))
